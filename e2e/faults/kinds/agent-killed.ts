// The agent dies without a word; systemd starts it again.
import { allProved, type Fault } from '../fault.ts';
import type { Field } from '../field.ts';

const moments = {
  preflight: (field: Field) => field.reached('registered'),
  copy: (field: Field) => field.copying(),
} as const;

export function agentKilled(stage: keyof typeof moments): Fault {
  return {
    name: `agent-killed-${stage}`,
    what: 'agent killed (SIGKILL)',
    where: stage,
    async inject(field) {
      await moments[stage](field);
      await field.inInstaller('systemctl kill -s KILL nixie-agent.service');
      field.struck();
    },
    expect: allProved,
  };
}

export const agentKills: readonly Fault[] = (Object.keys(moments) as (keyof typeof moments)[]).map(agentKilled);
