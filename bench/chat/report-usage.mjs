/**
 * Preloaded into a measured server: tells the process that started it what the server costs (`Usage` in target.ts).
 * It keeps nothing alive by itself.
 */
process.on('message', (message) => {
  if (message !== 'usage') return;
  const { user, system } = process.cpuUsage();
  process.send?.({ cpu: (user + system) / 1000, memory: process.memoryUsage.rss() });
});
process.channel?.unref();
