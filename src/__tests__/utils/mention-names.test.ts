import { MAX_MENTIONS, mentionNames } from '../../utils/mention-names';

describe('the names mentioned in a text', () => {
  it.each<[string, string[][]]>([
    ['Hello', []],
    ['@ada', [['ada']]],
    ['Hello @Ada!', [['ada']]],
    ['(@ada), @bruno: and @ada again', [['ada'], ['bruno']]],
    ['@ada.', [['ada']]],
    ["@ada's", [['ada']]],
    ['Ask @ada.lovelace', [['ada.lovelace', 'ada']]],
    ['@a-b.c_d', [['a-b.c_d', 'a-b.c', 'a-b']]],
    ['mail bruno@example.org', []],
    ['https://example.org/@ada', []],
    ['@@ada', []],
    ['@ab', []],
    ['@adaé', []],
    ['@', []],
    [`@${'x'.repeat(32)}`, [['x'.repeat(32)]]],
    [`@${'x'.repeat(33)}`, []],
    ['`@ada` and ```\n@bruno\n``` and @chiara', [['chiara']]],
    ['an open ` before @ada', [['ada']]],
    ['```\n@ada', []],
  ])('are found in %j', (text, names) => {
    expect(mentionNames(text)).toEqual(names);
  });

  it('are limited in number, and found at once in the longest text', () => {
    const many = Array.from({ length: MAX_MENTIONS + 10 }, (_, index) => `@name${index}`).join(' ');
    expect(mentionNames(many)).toHaveLength(MAX_MENTIONS);
    for (const unit of ['@', '`', '@a.', '@a-', '``` ', '`@x ', '@x'.repeat(16)]) {
      const start = performance.now();
      mentionNames(unit.repeat(8000 / unit.length));
      expect(performance.now() - start).toBeLessThan(250);
    }
  });
});
