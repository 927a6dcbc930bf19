import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A key for one purpose. */
export interface EncryptionKey {
  /** Identifies the key without revealing anything about it. It is stored with what the key has encrypted. */
  id: string;
  key: KeyObject;
}

/** An encrypted text. Only the holder of the key can read it, and any change to it is detected. */
export interface EncryptedValue {
  /** The id of the key that decrypts it. */
  keyId: string;
  /** Nonce, ciphertext and tag, in base64url. */
  box: string;
}

/** Says why a value cannot be decrypted. */
export class DecryptionError extends Error {
  override readonly name = 'DecryptionError';

  constructor(readonly reason: 'other_key' | 'not_authentic') {
    super(
      reason === 'other_key'
        ? 'The value was encrypted with another key.'
        : 'The value was changed, or encrypted for another owner.',
    );
  }
}

/**
 * Derives a key by HKDF-SHA256. The same secret gives unrelated keys for different purposes.
 * @param secret of 32 characters or more.
 */
export function deriveEncryptionKey(secret: string, purpose: string): EncryptionKey {
  // This text determines the key: changing it would make stored values unreadable.
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', `parley sealed box: ${purpose}`, KEY_BYTES));
  const id = createHash('sha256').update('parley key id').update(bytes).digest('base64url').slice(0, 12);
  return { id, key: createSecretKey(bytes) };
}

/**
 * Encrypts a text with AES-256-GCM. The nonce is random, so one key may encrypt up to 2^32 values.
 * @param owner what the value belongs to, such as a user's id. The value can only be decrypted for the same owner.
 */
export function encrypt({ id, key }: EncryptionKey, text: string, owner: string): EncryptedValue {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(owner));
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const box = Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]).toString('base64url');
  return { keyId: id, box };
}

/** Returns the text of an encrypted value. @throws DecryptionError */
export function decrypt({ id, key }: EncryptionKey, { keyId, box }: EncryptedValue, owner: string): string {
  if (keyId !== id) throw new DecryptionError('other_key');
  const bytes = Buffer.from(box, 'base64url');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new DecryptionError('not_authentic');
  const tagStart = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(owner));
  decipher.setAuthTag(bytes.subarray(tagStart));
  try {
    return decipher.update(bytes.subarray(NONCE_BYTES, tagStart), undefined, 'utf8') + decipher.final('utf8');
  } catch {
    throw new DecryptionError('not_authentic');
  }
}
