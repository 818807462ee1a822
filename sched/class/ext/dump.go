package ext

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// dumper writes the debug dump of a policy that failed (scx_dump_state). It has the kernel's layout; backtraces are
// empty, since there is no kernel stack to walk.
type dumper struct {
	b strings.Builder
	// prefix and line are those of the dump callback that runs; first says that it has not written yet.
	prefix string
	line   []byte
	first  bool
	active bool
}

const dumpTruncated = "\n\n~~~~ TRUNCATED ~~~~\n"

func (d *dumper) printf(format string, args ...any) {
	fmt.Fprintf(&d.b, format, args...)
	d.b.WriteByte('\n')
}

func (d *dumper) newline() { d.b.WriteByte('\n') }

// begin follows ops_dump_init, end ops_dump_exit.
func (d *dumper) begin(prefix string) {
	d.prefix, d.line, d.first, d.active = prefix, d.line[:0], true, true
}

func (d *dumper) end() {
	d.flush()
	d.active = false
}

// flush follows ops_dump_flush.
func (d *dumper) flush() {
	if len(d.line) == 0 {
		return
	}
	if d.first {
		d.newline()
		d.first = false
	}
	for _, l := range strings.Split(strings.TrimSuffix(string(d.line), "\n"), "\n") {
		d.printf("%s%s", d.prefix, l)
	}
	d.line = d.line[:0]
}

// DumpBPF follows scx_bpf_dump: text is added to the debug dump. It is for the dump callbacks only.
func (k *Kernel) DumpBPF(text string) {
	if k.prog() == nil {
		return
	}
	d := &k.dump
	if !d.active {
		k.scxError("scx_bpf_dump() must only be called from ops.dump() and friends")
		return
	}
	if room := ops.ExitMsgLen - len(d.line); len(text) > room {
		text = text[:room]
	}
	d.line = append(d.line, text...)
	if n := len(d.line); n >= ops.ExitMsgLen || n > 0 && d.line[n-1] == '\n' {
		d.flush()
	}
}

// dumpState follows scx_dump_state.
func (k *Kernel) dumpState(sch *sched, info *ops.ExitInfo, max uint32, all bool) {
	if sch.dumpDisabled {
		return
	}
	ctx := &ops.DumpCtx{
		Kind:      info.Kind,
		ExitCode:  info.ExitCode,
		Reason:    info.Reason,
		AtNS:      uint64(k.m.Uptime()),
		AtJiffies: k.jiffies(),
	}
	k.dump = dumper{}
	d := &k.dump
	switch {
	case k.old.Early:
	case sch.level == 0:
		d.printf("%s: root", sch.ops.Name)
	default:
		d.printf("%s: %s %s", sch.ops.Name, sch.id(), sch.cgroup.Path())
	}
	curr := k.m.Curr(k.m.ThisCPU())
	switch {
	case info.Kind == ops.ExitNone:
		d.printf("Debug dump triggered by %s", info.Reason)
	case info.ExitCPU >= 0 && !k.old.Early:
		d.printf("%s[%d] triggered exit kind %d on CPU %d:", curr.Comm, curr.PID, info.Kind, info.ExitCPU)
	default:
		d.printf("%s[%d] triggered exit kind %d:", curr.Comm, curr.PID, info.Kind)
	}
	if info.Kind != ops.ExitNone {
		d.printf("  %s (%s)", info.Reason, info.Msg)
		d.newline()
		d.printf("Backtrace:")
	}
	if sch.has(ops.Dump) {
		d.begin("")
		sch.callDump(ctx)
		d.end()
	}
	d.newline()
	d.printf("CPU states")
	d.printf("----------")
	first := info.ExitCPU
	if k.old.Early {
		first = -1
	}
	if first >= 0 {
		k.dumpCPU(sch, ctx, all, &k.rqs[first])
	}
	for i := range k.rqs {
		if int32(i) != first {
			k.dumpCPU(sch, ctx, all, &k.rqs[i])
		}
	}
	d.newline()
	d.printf("Event counters")
	d.printf("--------------")
	for _, e := range k.eventList(&sch.events) {
		d.printf("%40s: %16d", e.Name, e.Value)
	}
	info.Dump = d.b.String()
	if uint32(len(info.Dump)) >= max && max > uint32(len(dumpTruncated)) {
		info.Dump = info.Dump[:max-uint32(len(dumpTruncated))-1] + dumpTruncated
	}
}

// id is how dumps call an instance.
func (s *sched) id() string {
	if s.level == 0 {
		return "root"
	}
	return fmt.Sprintf("sub%d-%d", s.level, s.ops.SubCgroupID)
}

// dumpCPU follows scx_dump_cpu.
func (k *Kernel) dumpCPU(sch *sched, ctx *ops.DumpCtx, all bool, r *rq) {
	d := &k.dump
	idle := !r.runnable.on() && k.currIdle(r.cpu)
	if idle && !sch.has(ops.DumpCPU) {
		return
	}
	outer := d.b
	d.b = strings.Builder{}
	curr := k.m.Curr(r.cpu)
	d.newline()
	if k.old.Early {
		d.printf("CPU %-4d: nr_run=%d flags=0x%x cpu_rel=%d ops_qseq=%d pnt_seq=%d",
			r.cpu, r.nrRunning, r.flags, b2u(r.cpuReleased), r.qseq, r.kickSync)
	} else {
		d.printf("CPU %-4d: nr_run=%d flags=0x%x cpu_rel=%d ksync=%d",
			r.cpu, r.nrRunning, r.flags, b2u(r.cpuReleased), r.kickSync)
	}
	if k.old.Reenq { // of sub-schedulers' tasks that no CPU may take, which is not modelled
		d.printf("          rescue=0 budget=0us rescuing=none[-1]")
	}
	d.printf("          curr=%s[%d] class=%s_sched_class", curr.Comm, curr.PID, curr.Class.Name())
	for _, s := range []struct {
		name string
		set  cpuSet
	}{
		{"cpus_to_kick   ", r.toKick}, {"idle_to_kick   ", r.toKickIfIdle}, {"cpus_to_preempt", r.toPreempt},
		{"cpus_to_wait   ", r.toWait}, {"cpus_to_sync   ", r.toSync},
	} {
		if !s.set.empty() {
			d.printf("  %s: %s", s.name, bitmapString(s.set, len(k.rqs)))
		}
	}
	used := d.b.Len()
	if sch.has(ops.DumpCPU) {
		d.begin("  ")
		sch.callDumpCPU(r, ctx, idle)
		d.end()
	}
	text := d.b.String()
	d.b = strings.Builder{}
	d.b.WriteString(outer.String())
	if idle && used == len(text) {
		return
	}
	d.b.WriteString(text)
	if k.onExt(curr) && (all || k.schedOf(curr) == sch) {
		k.dumpTask(sch, ctx, r, curr, '*')
	}
	for n := r.runnable.next; n != &r.runnable; n = n.next {
		if all || k.schedOf(n.t) == sch {
			k.dumpTask(sch, ctx, r, n.t, ' ')
		}
	}
}

// dumpTask follows scx_dump_task.
func (k *Kernel) dumpTask(sch *sched, ctx *ops.DumpCtx, r *rq, t *sim.Task, marker byte) {
	d, e := &k.dump, k.ent(t)
	dsqID := "(n/a)"
	if e.dsq != nil {
		dsqID = fmt.Sprintf("0x%x", e.dsq.id)
	}
	at := int64(k.jiffiesToMS(t.K.RunnableAt())) - int64(k.jiffiesToMS(ctx.AtJiffies))
	d.newline()
	own, owner := "", k.schedOf(t)
	if owner == sch {
		own = "*"
	}
	if k.old.Early {
		d.printf(" %c%c %s[%d] %+dms", marker, stateChar(t), t.Comm, t.PID, at)
	} else {
		d.printf(" %c%c %s[%d] %s%s %+dms", marker, stateChar(t), t.Comm, t.PID, own, owner.id(), at)
	}
	d.printf("      scx_state/flags=%d/0x%x dsq_flags=0x%x ops_state/qseq=%d/%d",
		taskState(t)>>ops.TaskStateShift, t.K.SCXFlags()&^ops.TaskStateMask, b2u(e.onPriq), e.state, e.qseqQueued)
	d.printf("      sticky/holding_cpu=%d/%d dsq_id=%s", t.K.StickyCPU(), t.K.HoldingCPU(), dsqID)
	d.printf("      dsq_vtime=%d slice=%d weight=%d", t.K.DSQVtime(), t.K.Slice(), t.K.SCXWeight())
	d.printf("      cpus=%s no_mig=%d", bitmapString(t.K.CPUs().Words(), len(k.rqs)), t.MigrationDisabled)
	if sch.has(ops.DumpTask) {
		d.begin("    ")
		sch.callDumpTask(r, ctx, t)
		d.end()
	}
}

// stateChar follows task_state_to_char.
func stateChar(t *sim.Task) byte {
	switch t.State {
	case sim.StateRunning:
		return 'R'
	case sim.StateInterruptible:
		return 'S'
	case sim.StateDead:
		return 'X'
	}
	return 'D'
}

// bitmapString formats n bits as the kernel's %*pb: groups of 32 bits in hex, highest first.
func bitmapString(w []uint64, n int) string {
	var b strings.Builder
	for i := (n+31)/32 - 1; i >= 0; i-- {
		width := 8
		if rest := n - 32*i; rest < 32 {
			width = (rest + 3) / 4
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%0*x", width, uint32(w[i/2]>>(i%2*32)))
	}
	return b.String()
}
