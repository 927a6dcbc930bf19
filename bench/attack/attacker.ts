import { ATTACKS } from './attacks';

/**
 * The process of the attacker: prepares the attack named by its first argument on the server of the second one, says
 * that it is ready, and strikes from `go` until it is ended.
 */
async function main(name = '', url = ''): Promise<void> {
  const attack = ATTACKS[name];
  if (!attack) throw new Error(`There is no attack "${name}".`);
  const strike = await attack.prepare(url);
  let index = 0;
  let ended = 0;
  let failed = 0;
  const loop = async () => {
    for (;;) {
      await strike(index++).catch(() => failed++);
      ended++;
    }
  };
  process.on('message', (message) => {
    if (message === 'go') for (let each = 0; each < attack.parallel; each++) void loop();
    else process.send?.({ begun: index, ended, failed } satisfies Strikes, () => process.exit(0));
  });
  process.send?.('ready');
}

/** What became of the strikes of an attack. */
export interface Strikes {
  begun: number;
  ended: number;
  /** Those of them that were refused or broke off. */
  failed: number;
}

main(...process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
