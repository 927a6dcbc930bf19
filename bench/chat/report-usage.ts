/**
 * Preloaded into a measured server: tells the process that started it what the server costs. It keeps nothing
 * alive by itself.
 */

/** What a process has used since it began, all of its threads together. */
export interface Usage {
  /** Milliseconds of processor time. */
  cpu: number;
  /** Resident memory in bytes. */
  memory: number;
}

process.on('message', (message) => {
  if (message !== 'usage') return;
  const { user, system } = process.cpuUsage();
  const usage: Usage = { cpu: (user + system) / 1000, memory: process.memoryUsage.rss() };
  process.send?.(usage);
});
process.channel?.unref();
