/** What a metric is called and what it measures. */
interface Definition<Kind extends string, Label extends string> {
  kind: Kind;
  /** As Prometheus recommends: with the prefix of the program and the base unit, and `_total` for a counter. */
  name: `parley_${string}`;
  help: string;
  labels: readonly Label[];
}

export type CounterDefinition<Label extends string = string> = Definition<'counter', Label>;
export type GaugeDefinition<Label extends string = string> = Definition<'gauge', Label>;
export interface HistogramDefinition<Label extends string = string> extends Definition<'histogram', Label> {
  /** The upper bounds in ascending order, in the unit of the metric. */
  buckets: readonly number[];
}

export type MetricDefinition = CounterDefinition | GaugeDefinition | HistogramDefinition;

/** Durations of requests, commands and the like, in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Durations of work that may take minutes, in seconds. */
const LONG_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900];
const COUNTS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/**
 * All metrics of Parley. Those of the process and of Node.js are in `process-metrics.ts`. `docs/monitoring.md` has a table
 * of them, which is generated from here.
 */
export const METRICS = {
  buildInfo: {
    kind: 'gauge',
    name: 'parley_build_info',
    help: 'Always 1; the labels are the version of Parley and the kind of database: embedded or mongodb.',
    labels: ['version', 'database'],
  },
  accepting: {
    kind: 'gauge',
    name: 'parley_accepting',
    help: 'Whether the process accepts new work: 1, and 0 while it shuts down.',
    labels: [],
  },

  httpRequests: {
    kind: 'counter',
    name: 'parley_http_requests_total',
    help: 'Answered requests, by declared route, method and status.',
    labels: ['method', 'route', 'status'],
  },
  httpDurations: {
    kind: 'histogram',
    name: 'parley_http_request_duration_seconds',
    help: 'Time from a request to the end of its answer, without streamed exports.',
    labels: ['method', 'route'],
    buckets: SECONDS,
  },
  httpInFlight: {
    kind: 'gauge',
    name: 'parley_http_requests_in_flight',
    help: 'Requests that are being answered, with the waiting polls of Socket.IO.',
    labels: [],
  },
  errors: {
    kind: 'counter',
    name: 'parley_errors_total',
    help: 'Errors of requests, socket events and handshakes, both those of callers and internal ones, by code.',
    labels: ['code'],
  },

  connections: {
    kind: 'gauge',
    name: 'parley_connections',
    help: 'Open connections of users, by protocol: socket.io or peerjs.',
    labels: ['protocol'],
  },
  connectedUsers: {
    kind: 'gauge',
    name: 'parley_connected_users',
    help: 'Users with connections, by protocol.',
    labels: ['protocol'],
  },
  connectionsOpened: {
    kind: 'counter',
    name: 'parley_connections_opened_total',
    help: 'Connections that were opened, by protocol.',
    labels: ['protocol'],
  },
  connectionsRefused: {
    kind: 'counter',
    name: 'parley_connections_refused_total',
    help: 'Connections that were refused, by protocol and error code.',
    labels: ['protocol', 'code'],
  },
  connectionsEnded: {
    kind: 'counter',
    name: 'parley_connections_ended_total',
    help: 'Connections that the server has ended because of what their client did, by protocol and reason.',
    labels: ['protocol', 'reason'],
  },
  transports: {
    kind: 'gauge',
    name: 'parley_socket_transports',
    help: 'Open transports of Socket.IO, also before they are authenticated: websocket or polling.',
    labels: ['transport'],
  },
  forwarded: {
    kind: 'counter',
    name: 'parley_sessions_forwarded_total',
    help: 'Requests and upgrades that were passed on to the process of this machine that has their session: request or upgrade.',
    labels: ['kind'],
  },
  forwardedConnections: {
    kind: 'gauge',
    name: 'parley_sessions_forwarded_connections',
    help: 'Connections that are passed on to other processes of this machine now.',
    labels: [],
  },
  backlogBytes: {
    kind: 'gauge',
    name: 'parley_socket_backlog_bytes',
    help: 'Bytes that wait for clients to read them, of all Socket.IO connections.',
    labels: [],
  },
  largestBacklogBytes: {
    kind: 'gauge',
    name: 'parley_socket_backlog_largest_bytes',
    help: 'Bytes that wait for the client with most of them.',
    labels: [],
  },
  eventDurations: {
    kind: 'histogram',
    name: 'parley_socket_event_duration_seconds',
    help: 'Time from an event of a client to its acknowledgement; its count is that of received events.',
    labels: ['event'],
    buckets: SECONDS,
  },
  eventErrors: {
    kind: 'counter',
    name: 'parley_socket_event_errors_total',
    help: 'Events of clients that were acknowledged with an error, by code.',
    labels: ['event', 'code'],
  },
  eventsSent: {
    kind: 'counter',
    name: 'parley_socket_events_sent_total',
    help: 'Events that were broadcast, each counted once.',
    labels: ['event'],
  },
  deliveries: {
    kind: 'counter',
    name: 'parley_socket_deliveries_total',
    help: 'Deliveries of broadcast events to sockets of this node: an event to ten sockets counts ten times.',
    labels: [],
  },

  batchMessages: {
    kind: 'histogram',
    name: 'parley_message_batch_messages',
    help: 'Messages that were written in one transaction; its sum is that of messages sent.',
    labels: [],
    buckets: COUNTS,
  },
  batchChannels: {
    kind: 'histogram',
    name: 'parley_message_batch_channels',
    help: 'Channels whose messages were written in one transaction.',
    labels: [],
    buckets: COUNTS,
  },
  batchDurations: {
    kind: 'histogram',
    name: 'parley_message_batch_duration_seconds',
    help: 'Time until a transaction with messages was on disk.',
    labels: [],
    buckets: SECONDS,
  },
  batchRetries: {
    kind: 'counter',
    name: 'parley_message_batch_retries_total',
    help: 'Transactions with messages that could not be committed as they were, by reason.',
    labels: ['reason'],
  },

  commands: {
    kind: 'counter',
    name: 'parley_database_commands_total',
    help: 'Commands sent to the database. Each is a round trip.',
    labels: [],
  },
  commandDurations: {
    kind: 'histogram',
    name: 'parley_database_command_duration_seconds',
    help: 'Time until the database has answered a command.',
    labels: [],
    buckets: SECONDS,
  },
  databaseBytes: {
    kind: 'gauge',
    name: 'parley_database_bytes',
    help: 'Size of the database: its documents (data), their files on the disk (storage), and the indexes.',
    labels: ['part'],
  },
  diskFreeBytes: {
    kind: 'gauge',
    name: 'parley_disk_free_bytes',
    help: 'Free space of the file systems of DATA_DIR (data) and UPLOAD_DIR (uploads).',
    labels: ['folder'],
  },

  queueWaiting: {
    kind: 'gauge',
    name: 'parley_queue_waiting',
    help: 'Jobs that wait in a queue.',
    labels: ['queue'],
  },
  queueRunning: {
    kind: 'gauge',
    name: 'parley_queue_running',
    help: 'Jobs of a queue that run now.',
    labels: ['queue'],
  },
  queueLimit: {
    kind: 'gauge',
    name: 'parley_queue_limit',
    help: 'The number of jobs that may wait in a queue.',
    labels: ['queue'],
  },
  queueRefusals: {
    kind: 'counter',
    name: 'parley_queue_refusals_total',
    help: 'Jobs that a full queue has refused.',
    labels: ['queue'],
  },

  // Prometheus itself has a label `job`.
  jobRuns: {
    kind: 'counter',
    name: 'parley_job_runs_total',
    help: 'Runs of background jobs that have ended, by outcome: success or failure.',
    labels: ['job_name', 'outcome'],
  },
  jobDurations: {
    kind: 'histogram',
    name: 'parley_job_duration_seconds',
    help: 'How long runs of background jobs took.',
    labels: ['job_name'],
    buckets: LONG_SECONDS,
  },
  jobFailuresInRow: {
    kind: 'gauge',
    name: 'parley_job_failures_in_row',
    help: 'How many of the latest runs of a background job have failed; 0 after a success.',
    labels: ['job_name'],
  },
  jobLastSuccess: {
    kind: 'gauge',
    name: 'parley_job_last_success_timestamp_seconds',
    help: 'When a background job last succeeded on this node, in seconds since 1970; 0 if it has not.',
    labels: ['job_name'],
  },

  backupLastSuccess: {
    kind: 'gauge',
    name: 'parley_backup_last_success_timestamp_seconds',
    help: 'When a node last completed a scheduled backup, in seconds since 1970; 0 for never. Absent without BACKUP_SCHEDULE.',
    labels: [],
  },
  backupDue: {
    kind: 'gauge',
    name: 'parley_backup_due_timestamp_seconds',
    help: 'When the next scheduled backup is due, in seconds since 1970. Absent without BACKUP_SCHEDULE.',
    labels: [],
  },
  backupBytes: {
    kind: 'gauge',
    name: 'parley_backup_size_bytes',
    help: 'Size of the last scheduled backup. Absent without BACKUP_SCHEDULE.',
    labels: [],
  },
  backupDuration: {
    kind: 'gauge',
    name: 'parley_backup_duration_seconds',
    help: 'How long the last scheduled backup took. Absent without BACKUP_SCHEDULE.',
    labels: [],
  },

  cacheLookups: {
    kind: 'counter',
    name: 'parley_cache_lookups_total',
    help: 'Lookups in a cache, by result: hit or miss.',
    labels: ['cache', 'result'],
  },
  cacheEntries: {
    kind: 'gauge',
    name: 'parley_cache_entries',
    help: 'Entries of a cache.',
    labels: ['cache'],
  },
  cacheLimit: {
    kind: 'gauge',
    name: 'parley_cache_limit',
    help: 'The number of entries that a cache may have.',
    labels: ['cache'],
  },

  openCalls: {
    kind: 'gauge',
    name: 'parley_calls_open',
    help: 'Open calls of the whole installation, by state; every node reports the same number.',
    labels: ['state'],
  },
  callTransitions: {
    kind: 'counter',
    name: 'parley_call_transitions_total',
    help: 'Changes of the state of calls that this node has made, by the new state.',
    labels: ['state'],
  },
  callTickets: {
    kind: 'counter',
    name: 'parley_call_tickets_total',
    help: 'Tickets for the PeerJS server: issued, accepted, expired, invalid.',
    labels: ['outcome'],
  },
  peerFramesRelayed: {
    kind: 'counter',
    name: 'parley_peer_frames_relayed_total',
    help: 'Frames of PeerJS that this node has sent to other nodes, by outcome: delivered or unreachable. Absent without REDIS_URL.',
    labels: ['outcome'],
  },
  callQuality: {
    kind: 'histogram',
    name: 'parley_call_round_trip_seconds',
    help: 'Round-trip times between participants of calls, as clients report them.',
    labels: [],
    buckets: [0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 2],
  },
  callLoss: {
    kind: 'histogram',
    name: 'parley_call_packet_loss_ratio',
    help: 'Shares of lost packets in calls, as clients report them, from 0 to 1.',
    labels: [],
    buckets: [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5],
  },

  uploads: {
    kind: 'counter',
    name: 'parley_uploads_total',
    help: 'Received uploads, by kind (attachment or avatar) and outcome: stored, or the code of the error.',
    labels: ['kind', 'outcome'],
  },
  uploadBytes: {
    kind: 'counter',
    name: 'parley_upload_bytes_total',
    help: 'Bytes of the received uploads, by kind.',
    labels: ['kind'],
  },
  uploadDurations: {
    kind: 'histogram',
    name: 'parley_upload_duration_seconds',
    help: 'Time from the complete receipt of a file until it is stored.',
    labels: ['kind'],
    buckets: LONG_SECONDS,
  },

  redisConnected: {
    kind: 'gauge',
    name: 'parley_redis_connected',
    help: 'Whether a connection to Redis is open: commands or subscriptions. Absent without REDIS_URL.',
    labels: ['connection'],
  },
  redisPings: {
    kind: 'histogram',
    name: 'parley_redis_ping_duration_seconds',
    help: 'Time until Redis has answered a ping, on the connection for commands.',
    labels: [],
    buckets: SECONDS,
  },
  redisFailures: {
    kind: 'counter',
    name: 'parley_redis_failures_total',
    help: 'Lost connections to Redis and failed attempts to connect.',
    labels: [],
  },

  nodes: {
    kind: 'gauge',
    name: 'parley_nodes',
    help: 'The nodes that this one hears of, with itself. This and the following are absent without REDIS_URL.',
    labels: [],
  },
  nodeFresh: {
    kind: 'gauge',
    name: 'parley_node_fresh',
    help: 'Whether the node knows of all rights that ended on other nodes: 1, or 0 while it sends no events to clients.',
    labels: [],
  },
  relayedEvents: {
    kind: 'counter',
    name: 'parley_relayed_events_total',
    help: 'Domain events that were sent to the other nodes, and received from them.',
    labels: ['direction'],
  },
  relayLosses: {
    kind: 'counter',
    name: 'parley_relay_losses_total',
    help: 'Batches of events that could not be sent to Redis (sent), or were missing (received): then all clients reconnect.',
    labels: ['direction'],
  },
  relayStored: {
    kind: 'counter',
    name: 'parley_relay_stored_events_total',
    help: 'Events that a node did not confirm in time, and that were passed on through the database.',
    labels: [],
  },
  relayConfirmations: {
    kind: 'histogram',
    name: 'parley_relay_confirmation_duration_seconds',
    help: 'Time until the other nodes have confirmed a batch of events, or the time limit.',
    labels: [],
    buckets: SECONDS,
  },
} as const satisfies Record<string, MetricDefinition>;
