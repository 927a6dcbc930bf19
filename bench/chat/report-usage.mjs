/**
 * Preloaded into a measured server: it reports the resource usage of the server to the parent process (`Usage` in
 * target.ts). It does not keep the server alive.
 */
process.on('message', (message) => {
  if (message !== 'usage') return;
  const { user, system } = process.cpuUsage();
  // Resident memory would include memory that the operating system has not reclaimed yet.
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.send?.({ cpu: (user + system) / 1000, memory: heapUsed + external });
});
process.channel?.unref();
