import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context as TraceContext,
  type Span,
} from '@opentelemetry/api';
import type { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent, MongoClient } from 'mongodb';
import type { SpanAttributes, Tracing } from '../services/kernel/tracing';
import { AppError, statusOf } from '../utils/errors';
import { inTime } from '../utils/in-time';
import { safeError } from '../utils/redact';
import { VERSION } from '../utils/version';

/** How long a stopping process waits until spans have been sent. */
const FLUSH_TIMEOUT_MS = 1000;
/** The commands in progress whose spans are kept; more are not traced. */
const MAX_COMMANDS = 10_000;

/**
 * Sends spans by OTLP over HTTP. The standard variables OTEL_… configure the exporter, the batches, the sampler and the
 * resource; the libraries read them themselves. Nothing is instrumented and nothing global is set: each span is started by
 * the code that it is about.
 */
export class OpenTelemetry implements Tracing {
  private readonly tracer;
  private readonly active = new AsyncLocalStorage<TraceContext>();
  private readonly commands = new Map<number, Span>();

  private constructor(
    private readonly provider: BasicTracerProvider,
    private readonly propagator: W3CTraceContextPropagator,
  ) {
    this.tracer = provider.getTracer('parley', VERSION);
  }

  /** Loads the libraries, which a server that sends no traces does without. */
  static async load(): Promise<OpenTelemetry> {
    const [core, exporter, resources, sdk] = await Promise.all([
      import('@opentelemetry/core'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace-base'),
    ]);
    const own = { 'service.name': 'parley', 'service.version': VERSION };
    const provider = new sdk.BasicTracerProvider({
      resource: resources
        .defaultResource()
        .merge(resources.resourceFromAttributes(own))
        .merge(resources.detectResources({ detectors: [resources.envDetector] })),
      spanProcessors: [new sdk.BatchSpanProcessor(new exporter.OTLPTraceExporter())],
    });
    return new OpenTelemetry(provider, new core.W3CTraceContextPropagator());
  }

  run<Result>(
    name: string,
    attributes: SpanAttributes,
    work: () => Promise<Result>,
    isRoot = false,
  ): Promise<Result> {
    const parent = isRoot ? ROOT_CONTEXT : this.current();
    const span = this.tracer.startSpan(name, { attributes, kind: SpanKind.INTERNAL }, parent);
    return this.active.run(trace.setSpan(parent, span), async () => {
      try {
        return await work();
      } catch (error) {
        recordFailure(span, error);
        throw error;
      } finally {
        span.end();
      }
    });
  }

  /**
   * Runs the handling of a request in a span, which is part of the trace that the header `traceparent` names, and ends with
   * the answer.
   * @param routeOf returns the declared path when the request has been answered, or that there is none.
   */
  traceRequest(
    request: IncomingMessage,
    response: ServerResponse,
    routeOf: () => string,
    handle: () => void,
  ): void {
    const parent = this.propagator.extract(ROOT_CONTEXT, request.headers, {
      get: (headers: IncomingHttpHeaders, name) => headers[name],
      keys: Object.keys,
    });
    const { method = '' } = request;
    const span = this.tracer.startSpan(
      method,
      { kind: SpanKind.SERVER, attributes: { 'http.request.method': method } },
      parent,
    );
    response.once('close', () => {
      const route = routeOf();
      span.updateName(`${method} ${route}`).setAttribute('http.route', route);
      span.setAttribute('http.response.status_code', response.statusCode);
      if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    this.active.run(trace.setSpan(parent, span), handle);
  }

  /** Adds a span for each command that is sent within another span. The client must have the option `monitorCommands`. */
  traceCommands(client: MongoClient): void {
    client.on('commandStarted', ({ requestId, commandName, command, databaseName }: CommandStartedEvent) => {
      const parent = this.current();
      if (!trace.getSpan(parent) || this.commands.size >= MAX_COMMANDS) return;
      const collection: unknown = command[commandName];
      const attributes = {
        'db.system.name': 'mongodb',
        'db.operation.name': commandName,
        'db.namespace': databaseName,
        ...(typeof collection === 'string' && { 'db.collection.name': collection }),
      };
      const name = typeof collection === 'string' ? `${commandName} ${collection}` : commandName;
      this.commands.set(
        requestId,
        this.tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, parent),
      );
    });
    client.on('commandSucceeded', ({ requestId }: CommandSucceededEvent) => this.endCommand(requestId));
    client.on('commandFailed', ({ requestId, failure }: CommandFailedEvent) =>
      this.endCommand(requestId, failure),
    );
  }

  /** Waits for a short time until the spans have been sent. */
  async stop(): Promise<void> {
    await inTime(
      this.provider.shutdown().catch(() => undefined),
      FLUSH_TIMEOUT_MS,
    );
  }

  private current(): TraceContext {
    return this.active.getStore() ?? ROOT_CONTEXT;
  }

  private endCommand(requestId: number, failure?: Error): void {
    const span = this.commands.get(requestId);
    if (!span) return;
    this.commands.delete(requestId);
    if (failure) recordFailure(span, failure);
    span.end();
  }
}

function recordFailure(span: Span, error: unknown): void {
  if (error instanceof AppError && statusOf(error) < 500) {
    // Its message may quote what the caller has sent.
    span.setAttribute('parley.error.code', error.code);
    return;
  }
  const { type, message } = safeError(error);
  span.setStatus({ code: SpanStatusCode.ERROR, message: `${type}: ${message}` });
}
