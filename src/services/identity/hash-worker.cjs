// The code of the threads of hash-workers.ts. It is JavaScript, so that the same file runs from the sources, under Jest
// and from dist.
const { constants, setPriority } = require('node:os');
const { parentPort } = require('node:worker_threads');
const bcrypt = require('bcrypt');

// On Linux, 0 means this thread; elsewhere it means the whole process. Hashing may use all idle processor time, but must
// not slow down the thread that answers requests.
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
  // Each step of the cost doubles the time, so one more hash at each lower cost adds up to the time of the full cost.
  if (!equal) for (let lower = bcrypt.getRounds(hash); lower < cost; lower++) bcrypt.hashSync('', lower);
  return equal;
}
