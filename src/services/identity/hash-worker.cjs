// The code of the threads of hash-workers.ts. It is JavaScript, so that the same file runs from the sources, under Jest
// and from dist.
const { constants, setPriority } = require('node:os');
const { parentPort } = require('node:worker_threads');
const bcrypt = require('bcrypt');

// On Linux, 0 means this thread; elsewhere it means the whole process. Hashing may take all processor time that is
// left over, but nothing that answers requests waits for it.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);

parentPort.on('message', (job) => {
  try {
    parentPort.postMessage({ result: job.kind === 'hash' ? hash(job) : matches(job) });
  } catch (error) {
    parentPort.postMessage({ error });
  }
});

function hash({ password, cost }) {
  return bcrypt.hashSync(password, cost);
}

function matches({ password, hash, cost }) {
  const equal = bcrypt.compareSync(password, hash);
  // Each step of the cost doubles the time: one hash of each cost from the lower one on takes the rest of it.
  if (!equal) for (let lower = bcrypt.getRounds(hash); lower < cost; lower++) bcrypt.hashSync('', lower);
  return equal;
}
