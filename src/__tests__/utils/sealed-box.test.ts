import fc from 'fast-check';
import { deriveSealingKey, open, seal, SealedBoxError, type SealedBox } from '../../utils/sealed-box';

const SECRET = 'a secret of more than 32 characters, for tests';
const KEY = deriveSealingKey(SECRET, 'tests');

const reasonOf = (action: () => string): string => {
  try {
    return `opened: ${action()}`;
  } catch (error) {
    expect(error).toBeInstanceOf(SealedBoxError);
    return (error as SealedBoxError).reason;
  }
};

describe('a sealed box', () => {
  it('gives back any text to its owner, after a restart too', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, owner) => {
        const stored = JSON.parse(JSON.stringify(seal(KEY, text, owner))) as SealedBox;
        expect(open(deriveSealingKey(SECRET, 'tests'), stored, owner)).toBe(text.toWellFormed());
      }),
    );
  });

  it('shows nothing of the text, and is another one each time', () => {
    const boxes = Array.from({ length: 50 }, () => seal(KEY, 'JBSWY3DPEHPK3PXP', 'ada').box);
    expect(new Set(boxes).size).toBe(50);
    for (const box of boxes) expect(Buffer.from(box, 'base64url').toString('latin1')).not.toMatch(/JBSWY/);
  });

  it('does not open for another owner', () => {
    expect(reasonOf(() => open(KEY, seal(KEY, 'text', 'ada'), 'bob'))).toBe('not_authentic');
  });

  it('does not open with the key of another secret or purpose, and says that it is the key', () => {
    const others = [deriveSealingKey(`${SECRET}.`, 'tests'), deriveSealingKey(SECRET, 'other tests')];
    for (const other of others) {
      expect(reasonOf(() => open(other, seal(KEY, 'text', 'ada'), 'ada'))).toBe('other_key');
      // Nor under a false name.
      const renamed = { ...seal(KEY, 'text', 'ada'), keyId: other.id };
      expect(reasonOf(() => open(other, renamed, 'ada'))).toBe('not_authentic');
    }
  });

  it('does not open with a bit changed, or a part missing', () => {
    const { keyId, box } = seal(KEY, 'text', 'ada');
    const bytes = Buffer.from(box, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const sealed = { keyId, box: changed.toString('base64url') };
      expect(reasonOf(() => open(KEY, sealed, 'ada'))).toBe('not_authentic');
    }
    for (let length = 0; length < bytes.length; length++) {
      const sealed = { keyId, box: bytes.subarray(0, length).toString('base64url') };
      expect(reasonOf(() => open(KEY, sealed, 'ada'))).toBe('not_authentic');
    }
  });

  it('tells keys apart without showing them', () => {
    const { id, key } = KEY;
    expect(id).toMatch(/^[\w-]{12}$/);
    expect(deriveSealingKey(SECRET, 'tests').id).toBe(id);
    expect(key.export().toString('base64url')).not.toContain(id);
  });
});
