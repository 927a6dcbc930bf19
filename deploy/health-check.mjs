// Checks whether Parley on this machine is ready for requests: /health/ready of the port in the variable PORT.
//
//   node deploy/health-check.mjs [--wait SECONDS]    exits with 0 if it is; otherwise prints why not, and exits with 1
//
// With --wait it asks again, once a second, until Parley is ready or the time is over.
import { parseArgs } from 'node:util';

/** How long one answer may take, in milliseconds. */
const ANSWER_TIMEOUT_MS = 3000;

/** @returns undefined if Parley is ready, or a sentence that says why it is not. */
async function reasonNotReady(url) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    return answer.ok ? undefined : `${url} answers ${answer.status}: ${await answer.text()}`;
  } catch (error) {
    return `${url} cannot be reached: ${error.cause?.message || error.cause?.code || error.message}`;
  }
}

const { values } = parseArgs({ options: { wait: { type: 'string', default: '0' } } });
const url = `http://127.0.0.1:${process.env.PORT || 3000}/health/ready`;
const deadline = Date.now() + Number(values.wait) * 1000;
let reason = await reasonNotReady(url);
while (reason !== undefined && Date.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  reason = await reasonNotReady(url);
}
if (reason !== undefined) {
  console.error(reason);
  process.exitCode = 1;
}
