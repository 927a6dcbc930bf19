import fc from 'fast-check';
import { linksIn } from '../../utils/links';
import { isPublicAddress } from '../../utils/public-address';

describe('a public internet address', () => {
  it.each([
    '1.1.1.1',
    '8.8.8.8',
    '172.15.255.255',
    '172.32.0.0',
    '100.128.0.1',
    '2606:4700:4700::1111',
    '2a00::1',
  ])('may be %s', (address) => expect(isPublicAddress(address)).toBe(true));

  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '192.0.0.192',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '::ffff:7f00:1',
    '64:ff9b::7f00:1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fe80::1%eth0',
    '2606:4700::1%eth0',
    'ff02::1',
    '2001::7f00:1',
    '2001:db8::1',
    '2002:7f00:1::',
    '3fff::1',
    '2130706433',
    '0177.0.0.1',
    'localhost',
    '',
  ])('is not %j', (address) => expect(isPublicAddress(address)).toBe(false));

  it('is never one of a private network, in any notation', () => {
    const part = fc.nat(255);
    const privateAddress = fc.oneof(
      fc.tuple(fc.constant(10), part, part, part),
      fc.tuple(fc.constant(127), part, part, part),
      fc.tuple(fc.constant(192), fc.constant(168), part, part),
      fc.tuple(fc.constant(169), fc.constant(254), part, part),
      fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), part, part),
    );
    fc.assert(
      fc.property(privateAddress, ([a, b, c, d]) => {
        const number = ((a * 256 + b) * 256 + c) * 256 + d;
        const forms = [
          `${a}.${b}.${c}.${d}`,
          `${number}`,
          `0x${number.toString(16)}`,
          `0${a.toString(8)}.${b}.${c}.${d}`,
          `${a}.${b * 65536 + c * 256 + d}`,
          `[::ffff:${a}.${b}.${c}.${d}]`,
        ];
        for (const form of forms) {
          const { hostname } = new URL(`http://${form}/`);
          expect([form, isPublicAddress(hostname.replace(/^\[|\]$/g, ''))]).toEqual([form, false]);
        }
      }),
      { seed: 7, numRuns: 100 },
    );
  });
});

describe('the links of a text', () => {
  it.each<[string, string[]]>([
    ['see https://example.org.', ['https://example.org']],
    ['(https://example.org/a_(b)), and', ['https://example.org/a_(b)']],
    ['HTTP://EXAMPLE.ORG/x?y=1&z#f!', ['HTTP://EXAMPLE.ORG/x?y=1&z#f']],
    ['<https://a.example> "https://b.example"', ['https://a.example', 'https://b.example']],
    ['https://a.example https://a.example', ['https://a.example']],
    ['javascript:alert(1) ftp://a.example file:///etc/passwd example.org http://', []],
    [`https://example.org/${'x'.repeat(3000)}`, []],
    [
      'https://1.example https://2.example https://3.example https://4.example',
      [1, 2, 3].map((n) => `https://${n}.example`),
    ],
  ])('are found in %s', (text, links) => expect(linksIn(text, 3)).toEqual(links));
});
