import { z } from 'zod';
import { idOut, idSchema, limitSchema, nextCursorOut, pageQuery, timestampOut } from '../kernel/common.model';
import { ERROR_CODES } from '../kernel/error.model';

export const slowestQuery = z.strictObject({ limit: limitSchema(20, 200) });
export type SlowestQuery = z.output<typeof slowestQuery>;

const nodeIdOut = z.string().meta({ description: 'The id of the node, which is new at each start.' });

/** A process of Parley. What it says of itself is null if it has not answered within two seconds. */
const nodeSchema = z
  .strictObject({
    nodeId: nodeIdOut,
    isThis: z.boolean().meta({ description: 'Whether it is the node that answers this request.' }),
    state: z
      .strictObject({
        host: z.string(),
        pid: z.number().int(),
        version: z.string(),
        startedAt: timestampOut,
        users: z.number().int().meta({ description: 'The users who are connected to it.' }),
        connections: z.number().int(),
        redis: z
          .enum(['ok', 'failed'])
          .nullable()
          .meta({ description: 'Whether it reaches Redis; null without REDIS_URL.' }),
        fresh: z.boolean().meta({
          description: 'Whether it knows of all rights that ended on other nodes; if not, it sends nothing.',
        }),
      })
      .nullable(),
  })
  .meta({ id: 'Node' });
export type NodeReport = z.output<typeof nodeSchema>;
export type NodeState = NonNullable<NodeReport['state']>;
export const nodesReply = z.strictObject({ nodes: z.array(nodeSchema) });

const duration = z.number().meta({ description: 'Milliseconds; at most 5% too high.' });
export const slowestReply = z.strictObject({
  endpoints: z.array(
    z
      .strictObject({
        name: z.string().meta({ description: 'The route or socket event.' }),
        nodeId: nodeIdOut,
        count: z.number().int().meta({ description: 'The number of calls since the start of the process.' }),
        p50: duration,
        p95: duration,
        max: duration,
      })
      .meta({ id: 'EndpointTiming' }),
  ),
});

/** A group of equal errors: with the same code, from the same route or event, with the same text except for details. */
const errorGroupSchema = z
  .strictObject({
    code: z.enum(ERROR_CODES),
    name: z.string().meta({ description: 'The route or socket event.' }),
    text: z.string().meta({ description: 'The error message, without anything that a caller has sent.' }),
    count: z.number().int(),
    firstAt: timestampOut,
    lastAt: timestampOut,
    requestId: z.string().nullable().meta({
      description: 'The request id of the last error, to find it in the log; null for a socket event.',
    }),
  })
  .meta({ id: 'ErrorGroup' });
export type ErrorGroup = z.output<typeof errorGroupSchema>;

/** The recent errors in groups, of which each node keeps at most 200. */
export const errorsReply = z.strictObject({ errors: z.array(errorGroupSchema) });

/** How a background job is doing since the start of the process. */
const jobStatusSchema = z
  .strictObject({
    name: z.string(),
    nodeId: nodeIdOut,
    scope: z
      .enum(['node', 'cluster'])
      .meta({ description: '`node`: every node runs it. `cluster`: one node does the work of all.' }),
    intervalMs: z
      .number()
      .nullable()
      .meta({ description: 'The longest time between two runs; null for a job that runs only when needed.' }),
    running: z.boolean(),
    nextRunAt: timestampOut.nullable().meta({ description: 'Null while it runs, and while nothing is due.' }),
    runs: z
      .number()
      .int()
      .meta({ description: 'Runs that have ended, including failed ones. Not those that another node did.' }),
    failures: z.number().int(),
    failuresInRow: z.number().int().meta({ description: 'Failures since the last success.' }),
    lastSuccessAt: timestampOut.nullable(),
    lastFailure: z
      .strictObject({
        at: timestampOut,
        message: z.string().meta({ description: 'What went wrong, without data of users.' }),
      })
      .nullable(),
    lastDurationMs: z.number().nullable(),
  })
  .meta({ id: 'BackgroundJob' });
export type NodeJobStatus = z.output<typeof jobStatusSchema>;
export type JobStatus = Omit<NodeJobStatus, 'nodeId'>;
export const jobsReply = z.strictObject({ jobs: z.array(jobStatusSchema) });

export const connectionsQuery = pageQuery.extend({ userId: idSchema.optional() });
export type ConnectionsQuery = z.output<typeof connectionsQuery>;

export const connectedUserSchema = z
  .strictObject({
    userId: idOut,
    username: z.string(),
    connections: z.array(
      z.strictObject({
        id: z.string(),
        nodeId: nodeIdOut,
        sessionId: idOut,
        address: z.string(),
        userAgent: z.string(),
        since: timestampOut,
      }),
    ),
  })
  .meta({ id: 'ConnectedUser' });
export type ConnectedUser = z.output<typeof connectedUserSchema>;
export const connectionsReply = z.strictObject({
  users: z.array(connectedUserSchema),
  nextCursor: nextCursorOut,
  total: z
    .strictObject({ users: z.number().int(), connections: z.number().int() })
    .meta({ description: 'Of all nodes. A user who is connected to several nodes counts on each of them.' }),
});

export const exportMessagesQuery = z.strictObject({
  channelId: idSchema
    .optional()
    .meta({ description: 'Only messages of this channel. Omit it to export all messages.' }),
});
export type ExportMessagesQuery = z.output<typeof exportMessagesQuery>;
