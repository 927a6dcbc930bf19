import { createHash, createHmac } from 'node:crypto';
import type { ObjectId } from 'mongodb';
import type { Answer, IdempotencyMode } from '../../models/idempotency/idempotency.model';
import { AppError } from '../../utils/errors';
import {
  decrypt,
  deriveEncryptionKey,
  encrypt,
  type EncryptedValue,
  type EncryptionKey,
} from '../../utils/encryption';

/** The longest answer that is recorded, in characters of JSON: a write answers with one object, never with a list. */
const MAX_ANSWER_LENGTH = 1_000_000;

/** A write that carries an idempotency key. */
export interface IdempotentRequest {
  key: string;
  /** The user whose key it is; undefined for an operation that requires no token. */
  userId: ObjectId | undefined;
  /** The name of the operation, the same over REST and sockets. */
  operation: string;
  /** Objects that together hold all input of the operation, such as path parameters and body. Their order is irrelevant. */
  input: readonly unknown[];
  mode: IdempotencyMode;
}

/** What identifies and encrypts the record of a request. */
export interface RequestKeys {
  /** The id of the record. */
  recordId: string;
  /** Hash of operation and input: it distinguishes a repeated request from another one under the same key. */
  fingerprint: string;
  encryptionKey: EncryptionKey;
}

/**
 * Derives the keys of a request.
 * @param secret the secret of the server: it protects answers whose idempotency key is guessable.
 */
export function requestKeys(
  { key, userId, operation, input }: IdempotentRequest,
  secret: string,
): RequestKeys {
  const fingerprint = digest(`${operation}\n${canonicalJson(input)}`);
  return {
    recordId: userId ? digest(`${userId.toHexString()}\n${key}`) : anonymousId(fingerprint, key, secret),
    fingerprint,
    encryptionKey: deriveEncryptionKey(`${secret}\n${key}`, 'recorded answers'),
  };
}

/**
 * Returns the id of a record without a user. Anonymous callers differ only in what they send, so the fingerprint is part
 * of the id: two people who happen to use the same key never get each other's answer. The request may contain a
 * password, and the key may be guessable, so the id is an HMAC: whoever reads the database cannot try passwords
 * against it.
 */
function anonymousId(fingerprint: string, key: string, secret: string): string {
  return createHmac('sha256', secret).update(`anonymous call\n${fingerprint}\n${key}`).digest('base64url');
}

/** Encrypts an answer together with the fingerprint of its request. @throws Error if the answer is too long */
export function encryptAnswer(
  { recordId, fingerprint, encryptionKey }: RequestKeys,
  { status, body }: Answer,
): EncryptedValue {
  const text = JSON.stringify({ request: fingerprint, status, body });
  if (text.length > MAX_ANSWER_LENGTH) throw new Error('The answer is too long to be recorded.');
  return encrypt(encryptionKey, text, recordId);
}

/** Decrypts a recorded answer. @throws AppError idempotency_key_reused if it belongs to another request */
export function decryptAnswer(
  { recordId, fingerprint, encryptionKey }: RequestKeys,
  encrypted: EncryptedValue,
): Answer {
  const { request: recorded, ...answer } = JSON.parse(
    decrypt(encryptionKey, encrypted, recordId),
  ) as Answer & {
    request: string;
  };
  if (recorded !== fingerprint) {
    throw new AppError('idempotency_key_reused', 'Another request was made under this idempotency key.');
  }
  return answer;
}

/** Returns the fields of all objects as JSON, sorted by name at every depth. */
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
