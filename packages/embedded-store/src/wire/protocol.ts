import { StoreError } from '../errors';

/**
 * The framing of the MongoDB wire protocol
 * (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/).
 */

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const HEADER_BYTES = 16;

const FLAG_CHECKSUM = 1;
const FLAG_MORE_TO_COME = 2;
/** Bits below 16 are required: an unknown one must be refused. */
const KNOWN_REQUIRED_FLAGS = FLAG_CHECKSUM | FLAG_MORE_TO_COME;

/** The largest message that is accepted: MongoDB's maxMessageSizeBytes. */
export const MAX_MESSAGE_BYTES = 48_000_000;

/** A request: one command document, and the documents in its other sections. */
export interface Request {
  id: number;
  /** Whether it is a legacy OP_QUERY, which is only allowed for the first hello of a driver. */
  legacy: boolean;
  /** The database of a legacy query; in OP_MSG the command names it. */
  database: string | undefined;
  body: Buffer;
  sequences: Map<string, Buffer[]>;
  /** Whether the sender expects no reply. */
  silent: boolean;
}

/** Splits a byte stream into messages. */
export class MessageReader {
  #chunks: Buffer[] = [];
  #size = 0;

  /** Adds a chunk and returns the messages that are now complete. Throws on an impossible length. */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const length = this.#nextLength();
      if (length === undefined || this.#size < length) return messages;
      const all = this.#joined();
      messages.push(all.subarray(0, length));
      this.#chunks = all.length > length ? [all.subarray(length)] : [];
      this.#size -= length;
    }
  }

  #nextLength(): number | undefined {
    if (this.#size < 4) return undefined;
    if ((this.#chunks[0]?.length ?? 0) < 4) this.#joined();
    const length = this.#chunks[0]?.readInt32LE(0) ?? 0;
    if (length < HEADER_BYTES || length > MAX_MESSAGE_BYTES) {
      throw new StoreError('ProtocolError', `a message of ${length} bytes is not acceptable`);
    }
    return length;
  }

  #joined(): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : undefined;
    const joined = all ?? Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

/** Reads one message. Throws StoreError on anything but a well-formed OP_MSG or OP_QUERY. */
export function parseRequest(message: Buffer): Request {
  const opcode = message.readInt32LE(12);
  if (opcode === OP_MSG) return parseMsg(message);
  if (opcode === OP_QUERY) return parseQuery(message);
  throw new StoreError('UnsupportedOpQueryCommand', `opcode ${opcode} is not supported`);
}

function documentAt(message: Buffer, offset: number, end: number): Buffer {
  if (offset + 5 > end) throw malformed();
  const size = message.readInt32LE(offset);
  if (size < 5 || offset + size > end || message[offset + size - 1] !== 0) throw malformed();
  return message.subarray(offset, offset + size);
}

function malformed(): StoreError {
  return new StoreError('ProtocolError', 'the message is malformed');
}

function parseMsg(message: Buffer): Request {
  if (message.length < HEADER_BYTES + 5) throw malformed();
  const flags = message.readUInt32LE(HEADER_BYTES);
  if ((flags & 0xffff & ~KNOWN_REQUIRED_FLAGS) !== 0) {
    throw new StoreError('IllegalOpMsgFlag', `the message has unknown flags ${flags & 0xffff}`);
  }
  const end = flags & FLAG_CHECKSUM ? message.length - 4 : message.length;
  const sequences = new Map<string, Buffer[]>();
  let body: Buffer | undefined;
  let offset = HEADER_BYTES + 4;
  while (offset < end) {
    const kind = message[offset];
    if (kind === 0) {
      if (body) throw malformed();
      body = documentAt(message, offset + 1, end);
      offset += 1 + body.length;
    } else if (kind === 1) {
      offset = parseSequence(message, offset + 1, end, sequences);
    } else throw malformed();
  }
  if (!body) throw malformed();
  return {
    id: message.readInt32LE(4),
    legacy: false,
    database: undefined,
    body,
    sequences,
    silent: (flags & FLAG_MORE_TO_COME) !== 0,
  };
}

function parseSequence(message: Buffer, start: number, end: number, into: Map<string, Buffer[]>): number {
  if (start + 5 > end) throw malformed();
  const sectionEnd = start + message.readInt32LE(start);
  const nameEnd = message.indexOf(0, start + 4);
  if (sectionEnd > end || nameEnd < 0 || nameEnd >= sectionEnd) throw malformed();
  const name = message.toString('utf8', start + 4, nameEnd);
  if (into.has(name)) throw malformed();
  const documents: Buffer[] = [];
  let offset = nameEnd + 1;
  while (offset < sectionEnd) {
    const document = documentAt(message, offset, sectionEnd);
    documents.push(document);
    offset += document.length;
  }
  into.set(name, documents);
  return sectionEnd;
}

function parseQuery(message: Buffer): Request {
  const nameEnd = message.indexOf(0, HEADER_BYTES + 4);
  if (nameEnd < 0) throw malformed();
  const namespace = message.toString('utf8', HEADER_BYTES + 4, nameEnd);
  const body = documentAt(message, nameEnd + 1 + 8, message.length);
  return {
    id: message.readInt32LE(4),
    legacy: true,
    database: namespace.split('.')[0] ?? 'admin',
    body,
    sequences: new Map(),
    silent: false,
  };
}

let lastReplyId = 0;

/** The bytes before the document of a reply to `request`. */
export function replyHeader(request: Request, documentBytes: number): Buffer {
  lastReplyId = (lastReplyId + 1) & 0x7fffffff;
  const size = request.legacy ? HEADER_BYTES + 20 : HEADER_BYTES + 5;
  const header = Buffer.alloc(size);
  header.writeInt32LE(size + documentBytes, 0);
  header.writeInt32LE(lastReplyId, 4);
  header.writeInt32LE(request.id, 8);
  header.writeInt32LE(request.legacy ? OP_REPLY : OP_MSG, 12);
  // An OP_REPLY has flags, cursor id, starting point and the number of documents; OP_MSG flags and a kind.
  if (request.legacy) {
    header.writeInt32LE(8, HEADER_BYTES);
    header.writeInt32LE(1, HEADER_BYTES + 16);
  }
  return header;
}
