import { compileRegex, literalPrefix } from '../src/query/regex';

const cases: [pattern: string, options: string, matches: string[], others: string[]][] = [
  ['^a.c$', '', ['abc', 'abc\n', 'a\rc'], ['a\nc', 'xabc', 'abc\n\n']],
  ['^a.c$', 's', ['a\nc'], ['abcd']],
  ['^b$', 'm', ['a\nb\nc', 'b'], ['a\rb']],
  ['a b # comment', 'x', ['ab'], ['a b']],
  ['(?i)ABC', '', ['abc'], ['abd']],
  ['\\Aab\\z', 'm', ['ab'], ['x\nab', 'ab\n']],
  ['ab\\Z', '', ['ab', 'ab\n'], ['abc']],
  ['[[:alpha:]_-]+!', '', ['a-b_!'], ['1!']],
  ['^[\\w-.]+$', '', ['a-b.c'], ['a b']],
  ['^[]a]+$', '', [']a'], ['b']],
  ['^[a\\]b]$', '', [']'], ['c']],
  ['\\Qa.b\\E+', '', ['a.bbb'], ['axb']],
  ['^\\s$', '', [' ', '\t'], ['\u00a0']],
  ['^\\h$', '', ['\u00a0', ' '], ['\n']],
  ['a{2}', '', ['aa'], ['a']],
  ['a{x', '', ['a{x'], ['aa']],
  ['}]', '', ['}]'], [']']],
  ['(?P<n>a)(?P=n)', '', ['aa'], ['ab']],
  ['\\x41\\x{1F600}', '', ['A\u{1f600}'], ['A']],
  ['^.$', '', ['\u{1f600}', 'é'], ['ab']],
  ['\\p{Lu}\\pN', '', ['É1'], ['é1']],
  ['^\\p{Greek}+$', '', ['αβ'], ['ab']],
  ['foo\\-bar\\_x\\@', '', ['foo-bar_x@'], ['foobar']],
  ['É', 'i', ['é'], ['e']],
];

test.each(cases)('%s with flags "%s"', (pattern, options, matches, others) => {
  const regex = compileRegex(pattern, options);
  for (const text of matches) expect([text, regex.test(text)]).toEqual([text, true]);
  for (const text of others) expect([text, regex.test(text)]).toEqual([text, false]);
});

test.each(['(', 'a++', '(?>a)', '(?R)', '[a', '\\y', 'a)', '*', '(?i:a)', '[[:nope:]]', 'x(?i)y', '\\12'])(
  'refuses %s',
  (pattern) => {
    expect(() => compileRegex(pattern, '')).toThrow(expect.objectContaining({ code: 51091 }));
  },
);

test.each([
  ['^abc', '', { text: 'abc', complete: true }],
  ['^abc.*', '', { text: 'abc', complete: true }],
  ['^ab?c', '', { text: 'a', complete: false }],
  ['^a\\.b', '', { text: 'a.b', complete: true }],
  ['^ab+', '', { text: 'ab', complete: false }],
  ['^a|b', '', undefined],
  ['^abc', 'i', undefined],
  ['abc', '', undefined],
  ['^a{2}', '', { text: '', complete: false }],
  ['\\Aab$', '', { text: 'ab', complete: false }],
])('what %s begins with (flags "%s")', (pattern, options, expected) => {
  expect(literalPrefix(pattern, options)).toEqual(expected);
});
