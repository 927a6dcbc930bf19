import { ATTACKS } from './attacks';

/**
 * The process of the attacker: it prepares the attack named by the first argument on the server of the second one,
 * reports that it is ready, and attacks from the message `go` until it is killed.
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

/** The results of the strikes of an attack. */
export interface Strikes {
  begun: number;
  ended: number;
  /** How many of them were refused or aborted. */
  failed: number;
}

main(...process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
