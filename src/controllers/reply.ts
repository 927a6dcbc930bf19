import type { OpenFile } from '../services/files/file-storage';

/** An answer whose body is sent as JSON (a string as text), or that has no body. */
export interface BodyReply<Status extends number = number, Body = unknown> {
  status: Status;
  body: Body;
}

/** An answer of many items, each sent as a line of JSON, no faster than the client reads them. */
export interface RecordsReply<Value = unknown> {
  status: 200;
  records: AsyncIterable<Value>;
}

/** An answer that is a file. The client may get 206 with a part of it, or 304 when it has the file already. */
export interface FileReply {
  status: 200;
  file: SentFile;
}

/** A file that is sent as an answer. Sending closes it. */
export interface SentFile {
  content: OpenFile;
  /** The ETag without its quotes: a different one for each content. */
  tag: string;
  cacheControl: string;
  /** The media type that the route declares, if it is left out. */
  mediaType?: string;
  /** Whether browsers may show it in the page; otherwise they download it. */
  inline: boolean;
  /** The file name that a download proposes. */
  name?: string;
}

/** What a controller returns. The `replies` of the route say which of these it may return, and with what types. */
export type Reply = BodyReply | RecordsReply | FileReply;

/** An answer without a body: `reply(204)`. */
export function reply<Status extends number>(status: Status): BodyReply<Status, undefined>;
/** An answer with a body: `reply(201, { group })`. */
export function reply<Status extends number, Body>(status: Status, body: Body): BodyReply<Status, Body>;
export function reply(status: number, body?: unknown): BodyReply {
  return { status, body };
}

/** An answer of one line of JSON for each item. */
export function replyRecords<Value>(records: AsyncIterable<Value>): RecordsReply<Value> {
  return { status: 200, records };
}

/** An answer that is a file. */
export function replyFile(file: SentFile): FileReply {
  return { status: 200, file };
}
