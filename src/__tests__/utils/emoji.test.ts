import { normalizeEmoji } from '../../utils/emoji';

describe('an emoji', () => {
  it.each(['👍', '👍🏽', '❤️', '👨‍👩‍👧‍👦', '🇵🇹', '1️⃣', '🏴󠁧󠁢󠁷󠁬󠁳󠁿', ':shipit:', ':+1:', '\u{1FAEA}'])(
    '%s is one',
    (emoji) => {
      expect(normalizeEmoji(emoji)).toBe(emoji);
    },
  );

  it('is the same in each of the ways in which it can be written', () => {
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
  ])('%j is none', (text) => {
    expect(normalizeEmoji(text)).toBeUndefined();
  });
});
