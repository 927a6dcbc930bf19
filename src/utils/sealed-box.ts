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
export interface SealingKey {
  /** Tells keys apart without giving anything of them away; it is stored beside what they have sealed. */
  id: string;
  key: KeyObject;
}

/** A text that only the holder of the key can read, and nobody can change unseen. */
export interface SealedBox {
  /** The id of the key that opens it. */
  keyId: string;
  /** Nonce, ciphertext and tag, in base64url. */
  box: string;
}

/** Why a box does not open. */
export class SealedBoxError extends Error {
  override readonly name = 'SealedBoxError';

  constructor(readonly reason: 'other_key' | 'not_authentic') {
    super(
      reason === 'other_key'
        ? 'It was sealed with another key.'
        : 'It was changed, or sealed for another owner.',
    );
  }
}

/**
 * Derives a key by HKDF-SHA256. The same secret gives unrelated keys for different purposes.
 * @param secret of 32 characters or more.
 */
export function deriveSealingKey(secret: string, purpose: string): SealingKey {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', `parley sealed box: ${purpose}`, KEY_BYTES));
  const id = createHash('sha256').update('parley key id').update(bytes).digest('base64url').slice(0, 12);
  return { id, key: createSecretKey(bytes) };
}

/**
 * Seals a text with AES-256-GCM. The nonce is random, so a key is good for 2^32 boxes.
 * @param owner what the box belongs to, such as a user's id: under another one it does not open.
 */
export function seal({ id, key }: SealingKey, text: string, owner: string): SealedBox {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(owner));
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const box = Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]).toString('base64url');
  return { keyId: id, box };
}

/** The text in a box. @throws SealedBoxError */
export function open({ id, key }: SealingKey, { keyId, box }: SealedBox, owner: string): string {
  if (keyId !== id) throw new SealedBoxError('other_key');
  const bytes = Buffer.from(box, 'base64url');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new SealedBoxError('not_authentic');
  const tagStart = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(owner));
  decipher.setAuthTag(bytes.subarray(tagStart));
  try {
    return decipher.update(bytes.subarray(NONCE_BYTES, tagStart), undefined, 'utf8') + decipher.final('utf8');
  } catch {
    throw new SealedBoxError('not_authentic');
  }
}
