import { createHash, createHmac } from 'node:crypto';
import type { ObjectId } from 'mongodb';
import type { Answer, IdempotencyMode } from '../../models/idempotency/idempotency.model';
import { AppError } from '../../utils/errors';
import {
  deriveEncryptionKey,
  decrypt,
  encrypt,
  type EncryptedValue,
  type EncryptionKey,
} from '../../utils/encryption';

/** The longest answer that is kept, in characters of JSON: a write answers with one thing, never with a list. */
const MAX_ANSWER = 1_000_000;

/** A write that carries a key. */
export interface KeyedCall {
  key: string;
  /** Whose key it is; undefined in a call that anybody may make. */
  userId: ObjectId | undefined;
  /** The name of the operation, the same over REST and sockets. */
  operation: string;
  /** Objects whose fields are all that the operation takes. In which of them a field stands does not matter. */
  input: readonly unknown[];
  mode: IdempotencyMode;
}

/** How the record of a call is found, and what it is encrypted with. */
export interface Seals {
  id: string;
  /** Which request this is, to tell a repeated one from another under the same key. */
  request: string;
  sealingKey: EncryptionKey;
}

/** @param secret of the server, beside the client's key, which may be guessable. */
export function seals({ key, userId, operation, input }: KeyedCall, secret: string): Seals {
  const request = digest(`${operation}\n${canonicalJson(input)}`);
  return {
    id: userId ? digest(`${userId.toHexString()}\n${key}`) : anonymousId(request, key, secret),
    request,
    sealingKey: deriveEncryptionKey(`${secret}\n${key}`, 'recorded answers'),
  };
}

/**
 * The id of a record without a user. Nothing tells one anonymous caller from another but what they send, so the request
 * is part of the id: two people who happen to use the same key never meet. The request may contain a password, and the
 * key may be guessable, so the id is an HMAC: whoever reads the database cannot try passwords against it.
 */
function anonymousId(request: string, key: string, secret: string): string {
  return createHmac('sha256', secret).update(`anonymous call\n${request}\n${key}`).digest('base64url');
}

/** Encrypts an answer with the request that it belongs to: both can hold secrets. @throws when it is too long */
export function sealAnswer({ id, request, sealingKey }: Seals, { status, body }: Answer): EncryptedValue {
  const text = JSON.stringify({ request, status, body });
  if (text.length > MAX_ANSWER) throw new Error('The answer is too long to be recorded.');
  return encrypt(sealingKey, text, id);
}

/** @throws AppError idempotency_key_reused when it is the answer to another request. */
export function openAnswer({ id, request, sealingKey }: Seals, box: EncryptedValue): Answer {
  const { request: recorded, ...answer } = JSON.parse(decrypt(sealingKey, box, id)) as Answer & {
    request: string;
  };
  if (recorded !== request) {
    throw new AppError('idempotency_key_reused', 'Another request was made under this idempotency key.');
  }
  return answer;
}

/** The fields of all objects in the order of their names, at every depth. */
function canonicalJson(input: readonly unknown[]): string {
  const fields = input
    .flatMap((part) => Object.entries(part ?? {}))
    .filter(([, value]) => value !== undefined);
  return JSON.stringify(
    fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value, sortKeys)}`).sort(),
  );
}

function sortKeys(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
