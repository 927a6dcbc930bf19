import { Session } from 'node:inspector/promises';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/**
 * Preloaded into all threads of a measured server: it profiles the main thread and the thread of the store when the
 * parent process asks for it (`Profiles` in target.ts). Until then it costs nothing.
 */
const channel = new BroadcastChannel('profiles of the measured server');
/** The sampling interval in microseconds. */
const INTERVAL = 500;
let session;

async function start() {
  session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: INTERVAL });
  await session.post('Profiler.start');
}

async function stop() {
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  return profile;
}

if (isMainThread) {
  let hasStore = false;
  let answered = () => {};
  channel.onmessage = ({ data }) => {
    if (data === 'store') hasStore = true;
    else answered(data);
  };
  const askStore = (question) => {
    const answer = new Promise((resolve) => (answered = resolve));
    channel.postMessage(question);
    return answer;
  };
  process.on('message', async (message) => {
    if (message === 'start profiles') {
      await start();
      process.send?.(hasStore ? await askStore(message) : 'started');
    } else if (message === 'stop profiles') {
      const main = await stop();
      process.send?.({ main, ...(hasStore && { store: await askStore(message) }) });
    }
  });
  process.channel?.unref();
} else if (/embedded-store.*worker\.js$/.test(process.argv[1])) {
  channel.postMessage('store');
  channel.onmessage = async ({ data }) => {
    if (data === 'start profiles') await start().then(() => channel.postMessage('started'));
    else if (data === 'stop profiles') channel.postMessage(await stop());
  };
}
channel.unref();
