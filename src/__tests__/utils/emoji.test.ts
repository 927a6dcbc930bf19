import { normalizeEmoji } from '../../utils/emoji';

describe('an emoji', () => {
  it.each(['👍', '👍🏽', '❤️', '👨‍👩‍👧‍👦', '🇵🇹', '1️⃣', '🏴󠁧󠁢󠁷󠁬󠁳󠁿', ':shipit:', ':+1:', '\u{1FAEA}'])(
    'is recognised in %s',
    (emoji) => {
      expect(normalizeEmoji(emoji)).toBe(emoji);
    },
  );

  it('has one form for all its encodings', () => {
    expect([normalizeEmoji('❤'), normalizeEmoji('❤️')]).toEqual(['❤️', '❤️']);
    expect([normalizeEmoji('👍️'), normalizeEmoji('👍')]).toEqual(['👍', '👍']);
  });

  it.each([
    '',
    'a',
    '1',
    '#',
    '👍👍',
    '👍a',
    ' 👍',
    ':a b:',
    '::',
    ':A:',
    ':x',
    `:${'x'.repeat(65)}:`,
    '\u{FE0F}',
    '<b>',
  ])('is not recognised in %j', (text) => {
    expect(normalizeEmoji(text)).toBeUndefined();
  });
});
