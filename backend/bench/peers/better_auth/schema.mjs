// Creates better-auth's tables in the database of the run, by its own migration; nothing is left to do the second time.
import { getMigrations } from "better-auth/db/migration";
import { auth } from "./auth.mjs";

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
process.exit(0);
