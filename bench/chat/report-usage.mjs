/**
 * Preloaded into a measured server: tells the process that started it what the server costs (`Usage` in target.ts).
 * It keeps nothing alive by itself.
 */
process.on('message', (message) => {
  if (message !== 'usage') return;
  const { user, system } = process.cpuUsage();
  // Resident memory would tell what the system has not taken back yet as well.
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.send?.({ cpu: (user + system) / 1000, memory: heapUsed + external });
});
process.channel?.unref();
