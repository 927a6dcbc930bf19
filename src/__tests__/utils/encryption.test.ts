import fc from 'fast-check';
import {
  deriveEncryptionKey,
  decrypt,
  encrypt,
  DecryptionError,
  type EncryptedValue,
} from '../../utils/encryption';

const SECRET = 'a secret of more than 32 characters, for tests';
const KEY = deriveEncryptionKey(SECRET, 'tests');

const reasonOf = (action: () => string): string => {
  try {
    return `decrypted: ${action()}`;
  } catch (error) {
    expect(error).toBeInstanceOf(DecryptionError);
    return (error as DecryptionError).reason;
  }
};

describe('encryption', () => {
  it('decrypts any text for its owner, also after a restart', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, owner) => {
        const stored = JSON.parse(JSON.stringify(encrypt(KEY, text, owner))) as EncryptedValue;
        expect(decrypt(deriveEncryptionKey(SECRET, 'tests'), stored, owner)).toBe(text.toWellFormed());
      }),
    );
  });

  it('reveals nothing of the text, and differs each time', () => {
    const values = Array.from({ length: 50 }, () => encrypt(KEY, 'JBSWY3DPEHPK3PXP', 'ada').box);
    expect(new Set(values).size).toBe(50);
    for (const box of values) expect(Buffer.from(box, 'base64url').toString('latin1')).not.toMatch(/JBSWY/);
  });

  it('refuses another owner', () => {
    expect(reasonOf(() => decrypt(KEY, encrypt(KEY, 'text', 'ada'), 'bob'))).toBe('not_authentic');
  });

  it('refuses the key of another secret or purpose, and reports that the key is wrong', () => {
    const others = [deriveEncryptionKey(`${SECRET}.`, 'tests'), deriveEncryptionKey(SECRET, 'other tests')];
    for (const other of others) {
      expect(reasonOf(() => decrypt(other, encrypt(KEY, 'text', 'ada'), 'ada'))).toBe('other_key');
      // Nor with a forged key id.
      const renamed = { ...encrypt(KEY, 'text', 'ada'), keyId: other.id };
      expect(reasonOf(() => decrypt(other, renamed, 'ada'))).toBe('not_authentic');
    }
  });

  it('refuses a value with a changed bit, or with a part missing', () => {
    const { keyId, box } = encrypt(KEY, 'text', 'ada');
    const bytes = Buffer.from(box, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const damaged = { keyId, box: changed.toString('base64url') };
      expect(reasonOf(() => decrypt(KEY, damaged, 'ada'))).toBe('not_authentic');
    }
    for (let length = 0; length < bytes.length; length++) {
      const damaged = { keyId, box: bytes.subarray(0, length).toString('base64url') };
      expect(reasonOf(() => decrypt(KEY, damaged, 'ada'))).toBe('not_authentic');
    }
  });

  it('tells keys apart without showing them', () => {
    const { id, key } = KEY;
    expect(id).toMatch(/^[\w-]{12}$/);
    expect(deriveEncryptionKey(SECRET, 'tests').id).toBe(id);
    expect(key.export().toString('base64url')).not.toContain(id);
  });
});
