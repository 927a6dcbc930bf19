import { z } from 'zod';
import { wholeNumber } from './setting-values';

/** A public key, the host, perhaps a path, and the number of the project. */
const DSN = /^https?:\/\/\w+@[\w.-]+(?::\d{1,5})?(?:\/[\w./-]*)?\/\d+$/;

/** The settings of metrics and of error tracking. */
export const monitoringSettings = {
  METRICS_PORT: wholeNumber(0, 65535).optional(),
  METRICS_HOST: z.string().min(1).default('127.0.0.1'),
  METRICS_TOKEN: z
    .string()
    .regex(/^[!-~]{16,}$/, 'must have at least 16 characters, without spaces')
    .optional(),
  SENTRY_DSN: z.string().regex(DSN, 'must be a DSN such as https://key@errors.example.org/1').optional(),
};

/** Where `/metrics` is served, and to whom. */
export interface MetricsConfig {
  /** The listener of its own; undefined: it is a path of the public listener. Port 0 for a free port. */
  listener: { port: number; host: string } | undefined;
  /** The bearer token that a request must have; undefined if everyone who can connect may read it. */
  token: string | undefined;
}

/** Derives the configuration of metrics. The public listener serves them only with a token. */
export function toMetricsConfig(settings: z.infer<z.ZodObject<typeof monitoringSettings>>): MetricsConfig {
  const { METRICS_PORT: port, METRICS_HOST: host, METRICS_TOKEN: token } = settings;
  return {
    listener: port === undefined ? undefined : { port, host },
    token,
  };
}

/**
 * Whether the standard variables of OpenTelemetry say that traces are sent. Its libraries read the environment themselves,
 * so these variables do not belong in `.env`.
 */
export function isTracingSet(environment: Readonly<Record<string, string | undefined>>): boolean {
  const isOff =
    environment['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true' ||
    environment['OTEL_TRACES_EXPORTER'] === 'none';
  const endpoint =
    environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? environment['OTEL_EXPORTER_OTLP_ENDPOINT'];
  return Boolean(endpoint) && !isOff;
}
