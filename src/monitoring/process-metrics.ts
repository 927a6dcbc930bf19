import { collectDefaultMetrics, Registry } from 'prom-client';

let registry: Registry | undefined;

/**
 * Returns the metrics of this process and of Node.js in the text format of Prometheus: processor time, memory, open
 * files, delay of the event loop, garbage collection, versions. They have the usual names of prom-client, so that common
 * dashboards work. They are collected from the first call on, once per process, since they cannot be stopped.
 */
export function processMetrics(): Promise<string> {
  if (!registry) {
    registry = new Registry();
    collectDefaultMetrics({ register: registry });
  }
  return registry.metrics();
}
