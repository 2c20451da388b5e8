// better-auth as a team would put it into production for phone login: users in PostgreSQL, codes, sessions and rate
// limits in Redis through the vendor's own storage, every option that is not named here at its default.
import { redisStorage } from "@better-auth/redis-storage";
import { betterAuth } from "better-auth";
import { phoneNumber } from "better-auth/plugins";
import { Redis } from "ioredis";
import pg from "pg";
import { handOver } from "./gateway.mjs";

const { env } = process;

// Kept as long as the service's pool keeps them: a round in which others are measured must not close them.
const pool = new pg.Pool({
  connectionString: env.DATABASE_URL,
  max: Number(env.POOL_MAX),
  idleTimeoutMillis: 600_000,
});

export const auth = betterAuth({
  baseURL: `http://127.0.0.1:${env.PORT}`,
  secret: env.PEER_SECRET,
  database: pool,
  secondaryStorage: redisStorage({ client: new Redis(env.REDIS_URL) }),
  telemetry: { enabled: false },
  rateLimit: {
    enabled: true,
    // A session is read without a limit, as the service's and the floor's status are.
    customRules: { "/get-session": false },
  },
  plugins: [
    phoneNumber({
      otpLength: 6,
      expiresIn: 600,
      // Awaited, as the service and the floor await theirs.
      sendOTP: ({ phoneNumber, code }) => handOver(phoneNumber, code),
      signUpOnVerification: { getTempEmail: (phone) => `${phone.slice(1)}@phone.invalid` },
    }),
  ],
});
