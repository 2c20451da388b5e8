// One process per core behind one port; the first process only starts the others.
import cluster from "node:cluster";
import { createServer } from "node:http";

if (cluster.isPrimary) {
  let stopping = false;
  for (let started = 0; started < Number(process.env.WORKERS); started += 1) cluster.fork();
  cluster.on("exit", (worker, status) => {
    if (!stopping) {
      // A worker that dies would go unseen behind the others, with half the processors in the figures.
      console.error(`worker ${worker.process.pid} ended with status ${status}`);
      process.exit(1);
    }
    // The last one out: their connections to the stores are closed when the bench goes on.
    if (Object.keys(cluster.workers).length === 0) process.exit(0);
  });
  process.on("SIGTERM", () => {
    stopping = true;
    for (const worker of Object.values(cluster.workers)) worker.process.kill("SIGTERM");
  });
} else {
  const { toNodeHandler } = await import("better-auth/node");
  const { auth } = await import("./auth.mjs");
  const server = createServer(toNodeHandler(auth));
  // Longer than a round of the others, so that a connection is never closed under a client.
  server.keepAliveTimeout = 120_000;
  server.listen(Number(process.env.PORT), "127.0.0.1", 2048);
}
