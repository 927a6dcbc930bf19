import type { OpenFile } from '../services/files/file-storage';

/** A reply with a body that is sent as JSON (or as text if it is a string), or without a body. */
export interface BodyReply<Status extends number = number, Body = unknown> {
  status: Status;
  body: Body;
}

/** An NDJSON reply. Its records are sent one by one, no faster than the client reads them. */
export interface RecordsReply<Value = unknown> {
  status: 200;
  records: AsyncIterable<Value>;
}

/** A reply with a file. The client may receive 206 with a part of it, or 304 if it already has the file. */
export interface FileReply {
  status: 200;
  file: SentFile;
}

/** A file to be sent. It is closed after sending. */
export interface SentFile {
  content: OpenFile;
  /** The ETag without quotes, which must differ for different contents. */
  tag: string;
  cacheControl: string;
  /** The media type; the one that the route declares, if omitted. */
  mediaType?: string;
  /** Whether browsers may display it inline; otherwise they download it. */
  inline: boolean;
  /** The suggested file name of a download. */
  name?: string;
}

/**
 * The return type of controllers. The `replies` of the route declare which of these it may return, with which types.
 */
export type Reply = BodyReply | RecordsReply | FileReply;

/** Returns a reply without a body: `reply(204)`. */
export function reply<Status extends number>(status: Status): BodyReply<Status, undefined>;
/** Returns a reply with a body: `reply(201, { group })`. */
export function reply<Status extends number, Body>(status: Status, body: Body): BodyReply<Status, Body>;
export function reply(status: number, body?: unknown): BodyReply {
  return { status, body };
}

/** Returns an NDJSON reply with these records. */
export function replyRecords<Value>(records: AsyncIterable<Value>): RecordsReply<Value> {
  return { status: 200, records };
}

/** Returns a reply with a file. */
export function replyFile(file: SentFile): FileReply {
  return { status: 200, file };
}
