package bpf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
)

// Agent, Edit and Loaded are the seam to the user-space halves of schedulers.
type (
	Agent  = agent.Agent
	Edit   = agent.Edit
	Loaded = agent.Loaded
)

// agentEnv is what the agent sees of the system.
func (p *Policy) agentEnv() agent.Env {
	return agent.Env{Machine: p.env.Machine, Kernel: p.opt.Kernel, Scheduler: p.name, Notice: p.notice}
}

// prepare lets the agent edit the object: what is read-only is set here, so that the linker knows it, the rest when the object
// is loaded.
func (p *Policy) prepare() (Edit, error) {
	if p.opt.Agent == nil {
		return Edit{}, nil
	}
	env := p.agentEnv()
	edit, err := p.opt.Agent.Prepare(&env, p.obj)
	if err != nil {
		return Edit{}, fmt.Errorf("%s: %w", p.file, err)
	}
	// The members that the command line gives win.
	for _, m := range edit.Members {
		if !slices.ContainsFunc(p.opt.Members, func(o Member) bool { return o.Name == m.Name }) {
			if err := p.shadows([]Member{{Name: m.Name, Value: m.Value}}); err != nil {
				return Edit{}, agent.Wrap(m.At, err)
			}
		}
	}
	for _, g := range edit.Set {
		if p.readOnly(g.Path) {
			if err := p.obj.SetVar(g.Path, g.Value); err != nil {
				return Edit{}, agent.Wrap(g.At, err)
			}
		} else if err := p.obj.CheckVar(g.Path, g.Value); err != nil && !p.inArena(g.Path) {
			return Edit{}, agent.Wrap(g.At, err)
		}
	}
	if names := edit.Names(); len(names) > 0 {
		p.notice(fmt.Sprintf("%s: set as its loader does: %s", p.file, some(names, 8)))
	}
	return edit, nil
}

// some lists the first of names, and how many there are besides.
func some(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more (schedsim recipe check lists them)", strings.Join(names[:n], ", "), len(names)-n)
}

// readOnly tells whether a variable is in a section that is frozen once it is loaded.
func (p *Policy) readOnly(path string) bool {
	var find elf.Finder
	frozen := false
	for _, m := range p.obj.Maps {
		if m.Section != ".kconfig" && find.In(m.Vars, path) {
			frozen = m.Frozen
		}
	}
	return frozen
}

// inArena tells whether a variable lies in the arena.
func (p *Policy) inArena(path string) bool {
	var find elf.Finder
	return p.obj.Arena != nil && find.In(p.obj.Arena.Vars, path)
}

// agentLoaded shows the object that is loaded to the agent.
func (p *Policy) agentLoaded(edit Edit) error {
	if p.opt.Agent == nil {
		return nil
	}
	p.user = agent.NewLoaded(p.agentEnv(), p.obj, p.loaded, agent.Host{Run: p.runSyscall, ReadIter: p.ReadIter, Live: p.live, Fail: p.agentFailed})
	for _, g := range edit.Set {
		if _, ok := p.opt.Globals[g.Path]; ok || p.readOnly(g.Path) {
			continue
		}
		if err := p.user.Set(g.Path, g.Value); err != nil {
			return agent.Wrap(g.At, err)
		}
	}
	return p.opt.Agent.Loaded(p.user)
}

// Attached tells the agent that the table is in charge. Whoever enables what Open returned calls it then.
func (p *Policy) Attached() error {
	if p.user == nil {
		return nil
	}
	if err := p.opt.Agent.Attached(p.user); err != nil {
		return fmt.Errorf("%s: %w", p.file, err)
	}
	return nil
}

// runSyscall runs a SYSCALL program for the agent. What it costs while the table is in charge is charged to the CPU that it
// runs on; before, nobody waits for it.
func (p *Policy) runSyscall(prog string, ctx []byte) (int32, error) {
	r0, err := p.RunSyscall(prog, ctx)
	if d := p.cost(); d > 0 && p.table != nil {
		p.env.Machine.Charge(p.env.Machine.ThisCPU(), sim.CostCallback, d)
	}
	return r0, err
}

// live tells that programs may be run, and periodic work goes on: the table is not yet attached, or in charge.
func (p *Policy) live() bool {
	if p.kernel == nil {
		return false
	}
	if p.table == nil {
		return true
	}
	s := p.env.Kernel.State()
	return s == ops.Enabled || s == ops.Enabling
}

// agentFailed ends the run with an error.
func (p *Policy) agentFailed(err error) {
	if p.agentErr == nil {
		p.agentErr = fmt.Errorf("%s: %s: %w", p.file, p.env.Machine.Now(), err)
		p.env.Machine.Stop()
	}
}

// AgentError says why the user-space half could not go on, which is the end of the run; nil if it could.
func (p *Policy) AgentError() error { return p.agentErr }
