// Verify an access token by the public keys alone, with nothing but Node's own modules (Node 18 or later).
//
//   import { createVerifier } from "./verify.mjs";
//   const verify = createVerifier({ jwksUrl, issuer, audience });
//   const claims = await verify(token);            // throws InvalidToken
//
//   echo "$TOKEN" | node verify.mjs JWKS_URL ISSUER AUDIENCE     prints the claims, or says why not and exits with 1
//
// What this cannot tell: whether the session was ended in the last ten minutes. Only the service itself knows; ask it
// (POST /api/auth/token/verify/) before anything that cannot be undone.
import { createPublicKey, verify as verifySignature } from "node:crypto";
import { pathToFileURL } from "node:url";

export class InvalidToken extends Error {}

const REQUIRED = {
  sub: "string", sid: "string", jti: "string", role: "string", acr: "string",
  iat: "number", exp: "number", auth_time: "number", phone_verified: "boolean",
};
const LEEWAY = 60; // seconds that clocks may differ
const KEEP_KEYS_FOR = 300_000; // ms; the service announces the same
const ASK_AGAIN_AFTER = 10_000; // ms; forged key ids must not become a flood of requests

function part(text, name) {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) throw new InvalidToken(`${name} is not base64url`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(text, "base64url")));
  } catch {
    throw new InvalidToken(`${name} is not JSON`);
  }
}

export function createVerifier({ jwksUrl, issuer, audience, now = () => Date.now() }) {
  let keys = new Map();
  let readAt = -Infinity;

  async function read() {
    const answer = await fetch(jwksUrl, { redirect: "error", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`key document: HTTP ${answer.status}`);
    const found = new Map();
    for (const jwk of (await answer.json()).keys) {
      if (jwk.kty === "EC" && jwk.crv === "P-256" && jwk.alg === "ES256" && jwk.use === "sig") {
        found.set(jwk.kid, createPublicKey({ key: jwk, format: "jwk" }));
      }
    }
    keys = found;
    readAt = now();
  }

  async function keyOf(kid) {
    const age = now() - readAt;
    if (age > KEEP_KEYS_FOR || (!keys.has(kid) && age > ASK_AGAIN_AFTER)) await read();
    if (!keys.has(kid)) throw new InvalidToken("unknown key");
    return keys.get(kid);
  }

  return async function verify(token) {
    const parts = typeof token === "string" && token.length <= 4096 ? token.split(".") : [];
    if (parts.length !== 3) throw new InvalidToken("not a compact JWT");
    const header = part(parts[0], "header");
    // The algorithm is ours to choose, never the token's; keys come from the address that was configured, never from
    // the token (jwk, jku, x5u are not read).
    if (header === null || typeof header !== "object") throw new InvalidToken("header is no object");
    if (header.alg !== "ES256" || header.typ !== "at+jwt") throw new InvalidToken("not an access token of this service");
    if ("crit" in header) throw new InvalidToken("unknown critical header");
    if (typeof header.kid !== "string") throw new InvalidToken("no key id");
    const key = await keyOf(header.kid);
    const signature = Buffer.from(parts[2], "base64url");
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
    if (signature.toString("base64url") !== parts[2] || signature.length !== 64 ||
        !verifySignature("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signature)) {
      throw new InvalidToken("bad signature");
    }
    const claims = part(parts[1], "payload");
    if (claims === null || typeof claims !== "object") throw new InvalidToken("payload is no object");
    for (const [name, type] of Object.entries(REQUIRED)) {
      if (typeof claims[name] !== type) throw new InvalidToken(`${name} is missing or mistyped`);
    }
    const seconds = now() / 1000;
    if (claims.iss !== issuer) throw new InvalidToken("wrong issuer");
    if (claims.aud !== audience) throw new InvalidToken("wrong audience");
    if (claims.exp <= seconds) throw new InvalidToken("expired");
    if (claims.iat > seconds + LEEWAY || (claims.nbf ?? 0) > seconds + LEEWAY) throw new InvalidToken("from the future");
    return claims;
  };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [jwksUrl, issuer, audience] = process.argv.slice(2);
  if (!audience) {
    console.error("usage: echo TOKEN | node verify.mjs JWKS_URL ISSUER AUDIENCE");
    process.exit(2);
  }
  let token = "";
  for await (const chunk of process.stdin) token += chunk;
  try {
    console.log(JSON.stringify(await createVerifier({ jwksUrl, issuer, audience })(token.trim())));
  } catch (error) {
    console.error(error instanceof InvalidToken ? `invalid: ${error.message}` : `cannot verify: ${error.message}`);
    process.exit(error instanceof InvalidToken ? 1 : 2);
  }
}
