import cors from 'cors';
import express, { type Express } from 'express';
import helmet from 'helmet';
import type { Context } from './context';
import { requireAdministrator } from './middleware/admin.middleware';
import { disableCaching } from './middleware/cache.middleware';
import { admitClient } from './middleware/client.middleware';
import { refuseWhileClosing } from './middleware/closing.middleware';
import { compressAnswers } from './middleware/compression.middleware';
import { handleError, routeNotFound } from './middleware/error.middleware';
import { handleIdempotencyKeys } from './middleware/idempotency.middleware';
import { recordErrors, recordTimings, routeOf } from './middleware/observe.middleware';
import { requestLog } from './middleware/request-log.middleware';
import { limitCalls } from './middleware/throttle.middleware';
import { metricsHandler } from './monitoring/metrics-handler';
import { readMetrics } from './monitoring/server-metrics';
import { receiveUpload } from './middleware/upload.middleware';
import { apiRoutes } from './routes';
import { mountRoutes } from './routes/api-route';
import { apiDocsPage } from './routes/openapi.routes';
import { trustProxy } from './utils/trust-proxy';
import { MAX_BODY_BYTES } from './utils/validation';
import { VERSION } from './utils/version';

/**
 * Creates the Express app.
 * @param parts further routers by path, mounted after the API in this order: the HTTP interface of PeerJS.
 */
export function createApp(context: Context, parts: Record<string, express.RequestHandler> = {}): Express {
  const { config, logger, services } = context;
  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', trustProxy(config.http.trustProxy));

  const { tracing } = context;
  if (tracing) {
    app.use((request, response, next) =>
      tracing.traceRequest(request, response, () => routeOf(request), next),
    );
  }
  app.use(disableCaching);
  app.use(requestLog(logger));
  app.use(recordTimings(services.timings));
  app.use(
    helmet({
      // Over plain HTTP these two would send the browser to an HTTPS address that is not served.
      strictTransportSecurity: config.http.publicUrl?.startsWith('https:') ?? false,
      contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    }),
  );
  if (config.http.corsOrigins.length > 0) {
    app.use(
      cors({
        origin: config.http.corsOrigins,
        exposedHeaders: ['X-Request-Id', 'Retry-After', 'Idempotency-Replayed'],
        maxAge: 600,
      }),
    );
  }
  app.use(refuseWhileClosing(() => context.refusing));
  app.use(express.json({ limit: MAX_BODY_BYTES }));
  const compress = config.http.compression ? compressAnswers() : undefined;
  app.use(
    mountRoutes(apiRoutes(context, VERSION), {
      compress,
      admit: (requirements) => admitClient(services, requirements),
      administrator: requireAdministrator(services.access),
      limit: limitCalls(services.throttle),
      runIdempotently: handleIdempotencyKeys(services.idempotency),
      receive: (spec) => receiveUpload(spec, services.temporaryUploads),
    }),
  );
  app.use(apiDocsPage(compress));
  const { metrics } = config;
  // Strangers reach this listener, so there are no metrics on it without a token.
  if (metrics.token !== undefined && !metrics.listener)
    app.all(
      '/metrics',
      metricsHandler(() => readMetrics(context), metrics.token, logger),
    );
  for (const [path, part] of Object.entries(parts)) app.use(path, part);
  app.use(routeNotFound);
  app.use(recordErrors(services.errors));
  app.use(handleError);
  return app;
}
