package ext

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// errorText is a message with which the kernel ends a policy: the format of an scx_error or scx_exit of kernel/sched/ext
// (7.2).
type errorText struct {
	format string
	// where names the test that expects it, unless a rule of this package's tables does, and what it expects; never is why
	// it cannot come here.
	where, says, never string
}

var errorTexts = []errorText{
	{format: "%s", where: "TestRules", says: "done"}, // scx_bpf_exit and scx_bpf_error
	{format: "%s (%d)", where: "TestSubParentDisabled", says: "parent disabled (-2)"},
	{format: "%s[%d] already direct-dispatched"},
	{format: "%s[%d] failed to run for %u.%03us"},
	{format: "(\"%s\", %p, %u) failed to format", never: "bstr_printf does not fail"},
	{format: "DSQ 0x%llx not allowed for reenq"},
	{format: "DSQ ID 0x%016llx already had FIFO-enqueued tasks"},
	{format: "DSQ ID 0x%016llx already had PRIQ-enqueued tasks"},
	{format: "Invalid cpuperf target %u for CPU %d"},
	{format: "Invalid target CPU %d"},
	{format: "PREEMPT/WAIT cannot be used with SCX_KICK_IDLE"},
	{format: "RCU CPU stall detected!", where: "TestLockups", says: "RCU CPU stall detected!"},
	{format: "SCX_DSQ_LOCAL[_ON] cannot move migration disabled %s[%d] from CPU %d to %d"},
	{format: "SCX_DSQ_LOCAL[_ON] target CPU %d not allowed for %s[%d]"},
	{format: "SCX_ENQ_IMMED on a non-local DSQ 0x%llx"},
	{format: "SCX_ENQ_REENQ on SCX_DSQ_LOCAL repeated %u times"},
	{format: "SCX_OPS_BUILTIN_IDLE_PER_NODE enabled"},
	{format: "SCX_OPS_BUILTIN_IDLE_PER_NODE requires CPU idle selection enabled", where: "TestEnable",
		says: "SCX_OPS_BUILTIN_IDLE_PER_NODE requires CPU idle selection enabled"},
	{format: "SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented", where: "TestEnable",
		says: "SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented"},
	{format: "SCX_OPS_TID_TO_TASK requires root scheduler to enable it", where: "TestSubError",
		says: "SCX_OPS_TID_TO_TASK requires root scheduler to enable it"},
	{format: "__scx_bpf_dsq_insert_vtime() must be used", where: "TestSubError", says: "__scx_bpf_dsq_insert_vtime() must be used"},
	{format: "__scx_bpf_select_cpu_and() must be used", where: "TestSubError", says: "__scx_bpf_select_cpu_and() must be used"},
	{format: "accessing rq without holding rq lock"},
	{format: "attempting to destroy in-use dsq 0x%016llx (nr=%u)"},
	{format: "attempting to dispatch to a destroyed dsq", never: "a queue is found and used at one instant"},
	{format: "built-in idle tracking is disabled"},
	{format: "called on a task not being operated on"},
	{format: "called with NULL task"},
	{format: "cannot use vtime ordering for built-in DSQs"},
	{format: "cgroup %llu going offline", where: "TestSubCgroupOffline", says: "cgroup 4 going offline"},
	{format: "cgroup is not online", never: "ops.init takes no time, in which a cgroup could go"},
	{format: "cid %d assigned to multiple cpus"},
	{format: "cpu %d going %s, exiting scheduler", where: "TestHandleHotplug", says: "cpu 1 going offline, exiting scheduler"},
	{format: "dispatch buffer overflow"},
	{format: "dispatch buffer underflow"},
	{format: "dispatch recursion detected", never: "a table dispatches below itself only, and a program of two tables acts for neither"},
	{format: "expected hotplug seq %llu did not match actual %llu", where: "TestEnable", says: "expected hotplug seq 3 did not match actual 0"},
	{format: "failed to read data fields (%d)", where: "kfuncs, TestCallerErrors", says: "failed to read data fields (-14)"},
	{format: "format preparation failed (%d)", where: "kfuncs, TestCallerErrors", says: "format preparation failed (-22)"},
	{format: "hard lockup - CPU %d", where: "TestLockups", says: "hard lockup - CPU 0"},
	{format: "invalid CPU %d%s%s"},
	{format: "invalid DSQ ID 0x%016llx"},
	{format: "invalid SCX_REENQ flags 0x%llx"},
	{format: "invalid cid %d"},
	{format: "invalid data=%p and data__sz=%u", where: "kfuncs, TestCallerErrors", says: "invalid data=0000000000000000 and data__sz=104"},
	{format: "invalid enq_flags 0x%llx"},
	{format: "invalid node %d"},
	{format: "max nesting depth %d violated", where: "TestSubDepth", says: "max nesting depth 4 violated"},
	{format: "non-existent DSQ 0x%llx"},
	{format: "non-root ops.init_task() set task->scx.disallow for %s[%d]", where: "TestSubError",
		says: "non-root ops.init_task() set task->scx.disallow for ina[2]"},
	{format: "ops.%s() returned an invalid errno %d", where: "TestEnable", says: "ops.init() returned an invalid errno 7"},
	{format: "ops.cgroup_init() failed (%d)", where: "TestCgroupInitFails", says: "ops.cgroup_init() failed (-12)"},
	{format: "ops.init() failed (%d)", where: "TestEnable", says: "ops.init() failed (-12)"},
	{format: "ops.init_task() failed (%d) for %s[%d]", where: "TestEnable", says: "ops.init_task() failed (-1) for t[2]"},
	{format: "ops.init_task() failed (%d) for %s[%d] while disabling a sub-scheduler", where: "TestSubParentInitTask",
		says: "ops.init_task() failed (-12) for ina[2] while disabling a sub-scheduler"},
	{format: "ops.init_task() set task->scx.disallow for %s[%d] during fork", where: "TestDisallow",
		says: "ops.init_task() set task->scx.disallow for q[2] during fork"},
	{format: "ops.init_task() set task->scx.disallow for %s[%d] outside the enable path", where: "TestSubParentDisallow",
		says: "ops.init_task() set task->scx.disallow for ina[2] outside the enable path"},
	{format: "parent rejected (%d)", where: "TestSubError", says: "parent rejected (-1)"},
	{format: "peek disallowed on builtin DSQ 0x%llx"},
	{format: "peek on non-existent DSQ 0x%llx"},
	{format: "per-node idle tracking is disabled"},
	{format: "per-node idle tracking is enabled"},
	{format: "scheduling for %s[%d] but trying to direct-dispatch %s[%d]"},
	{format: "scx_bpf_cid_override() only allowed from root sched", where: "TestSubError", says: "scx_bpf_cid_override() only allowed from root sched"},
	{format: "scx_bpf_cid_override: expected %zu bytes, got %u"},
	{format: "scx_bpf_cid_override: failed to allocate tables", never: "no memory is short"},
	{format: "scx_bpf_dsq_move[_vtime]() on %s[%d] but the task belongs to a different scheduler", where: "TestSubMoveForeign",
		says: "scx_bpf_dsq_move[_vtime]() on ina[2] but the task belongs to a different scheduler"},
	{format: "scx_bpf_dump() must only be called from ops.dump() and friends"},
	{format: "scx_bpf_tid_to_task() called without SCX_OPS_TID_TO_TASK"},
	{format: "scx_root_enable() failed (%d)", where: "sched/class, TestServerAttachRefused", says: "scx_root_enable() failed (-16)"},
	{format: "scx_sub_enable() failed (%d)", where: "TestSubError", says: "scx_sub_enable() failed (-12)"},
	{format: "select_cpu kfunc called cross-task on %s[%d]"},
	{format: "soft lockup - CPU %d stuck for %us", where: "TestLockups", says: "soft lockup - CPU 0 stuck for 16s"},
	{format: "sub-sched requires cid-form struct_ops", where: "TestSubError", says: "sub-sched requires cid-form struct_ops"},
	{format: "sub_attach/sub_detach requires cid-form struct_ops", where: "TestEnable", says: "sub_attach/sub_detach requires cid-form struct_ops"},
	{format: "trying to dispatch a distant sub-sched on cgroup %llu", where: "TestSubError", says: "trying to dispatch a distant sub-sched on cgroup 2"},
	{format: "unavailable node %d", never: "all nodes of a machine are there"},
	{format: "watchdog failed to check in for %u.%03us", where: "TestLockups", says: "watchdog failed to check in for 1.016s"},
}

// pattern is what the messages of a format look like.
func (e *errorText) pattern() *regexp.Regexp {
	p := regexp.QuoteMeta(e.format)
	for _, v := range []struct{ verb, like string }{
		{"%03u", `[0-9]{3,}`}, {"%016llx", `[0-9a-f]{16}`}, {"%llx", `[0-9a-f]+`}, {"%llu", `[0-9]+`}, {"%zu", `[0-9]+`}, {"%u", `[0-9]+`},
		{"%d", `-?[0-9]+`}, {"%p", `[0-9a-f]{16}`}, {"%s", `.*`},
	} {
		p = strings.ReplaceAll(p, v.verb, v.like)
	}
	return regexp.MustCompile("^" + p + "$")
}

// TestErrorTexts: for every message of the kernel there is a test that makes it come, or a reason why it cannot.
func TestErrorTexts(t *testing.T) {
	var rules []string
	for _, list := range [][]ruleCase{dsqRules(), insertRules(), cpuRules(), exitRules(), cidRules()} {
		for _, tc := range list {
			rules = append(rules, tc.msg)
		}
	}
	for _, e := range errorTexts {
		re := e.pattern()
		switch {
		case e.never != "":
		case e.where != "":
			if !re.MatchString(e.says) {
				t.Errorf("%q does not look like %q", e.says, e.format)
			}
			testExists(t, e.where, e.says)
		case !slices.ContainsFunc(rules, re.MatchString):
			t.Errorf("no rule says %q", e.format)
		}
	}
	// Beyond the kernel's: what a policy written in Go can do and a program cannot, because it is not verified.
	ours := regexp.MustCompile(`^scx_bpf_[a-z_]+\(\) must not be called here$`)
	for _, msg := range rules {
		if msg == "" || ours.MatchString(msg) {
			continue
		}
		if !slices.ContainsFunc(errorTexts, func(e errorText) bool { return e.pattern().MatchString(msg) }) {
			t.Errorf("the kernel never says %q", msg)
		}
	}
}

// testExists looks for a test and, in its file, for what it expects.
func testExists(t *testing.T, name, says string) {
	t.Helper()
	dir := "."
	if pkg, n, ok := strings.Cut(name, ", "); ok {
		dir, name = filepath.Join("../../..", pkg), n
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "func "+name+"(") {
			return
		}
	}
	t.Errorf("%s, which should expect %q, does not exist", name, says)
}

// unseen are the formats that the lab's kernel does not say, and why (docs/fidelity.md).
var unseen = map[string]string{
	"(\"%s\", %p, %u) failed to format":               "a format that was accepted does not fail",
	"attempting to dispatch to a destroyed dsq":       "needs another CPU within some instructions",
	"called with NULL task":                           "the verifier takes no such program",
	"dispatch recursion detected":                     "a table dispatches below itself only",
	"failed to read data fields (%d)":                 "the verifier takes no such program",
	"hard lockup - CPU %d":                            "its detector needs a processor that counts cycles",
	"scx_bpf_cid_override: failed to allocate tables": "no memory is short",
	"scx_bpf_dsq_move[_vtime]() on %s[%d] but the task belongs to a different scheduler": "a task leaves its queue before it changes hands",
	"unavailable node %d": "the nodes of a machine have no gaps",
}

// TestErrorTextsSeen: every format was seen on the lab's kernel, in one of the recordings that other tests compare with, but for
// those of unseen.
func TestErrorTextsSeen(t *testing.T) {
	var text []byte
	for _, f := range []string{"../../bpf/testdata/lab/errors.json", "../../bpf/testdata/lab/family.json", "../../../internal/fidelity/exits/testdata/kernel-7.2.jsonl"} {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, data...)
	}
	var said []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, `{"kernel": "`) && !strings.HasPrefix(line, `{"kernel": "7.2"`) {
			continue
		}
		for _, m := range regexp.MustCompile(`"msg": ?("(?:[^"\\]|\\.)*")`).FindAllStringSubmatch(line, -1) {
			msg, err := strconv.Unquote(m[1])
			if err != nil {
				t.Fatalf("%s: %v", m[1], err)
			}
			said = append(said, msg)
		}
	}
	for _, e := range errorTexts {
		if seen := slices.ContainsFunc(said, e.pattern().MatchString); seen != (unseen[e.format] == "") {
			t.Errorf("%q: seen %v, and not expected to be because %q", e.format, seen, unseen[e.format])
		}
	}
}

// TestErrorTextsOfSource compares the list with the kernel's source in KERNEL_SOURCE.
func TestErrorTextsOfSource(t *testing.T) {
	src := os.Getenv("KERNEL_SOURCE")
	if src == "" {
		t.Skip("KERNEL_SOURCE is not set: an unpacked Linux 7.2")
	}
	var files []string
	for _, p := range []string{"*.c", "*.h"} {
		more, err := filepath.Glob(filepath.Join(src, "kernel/sched/ext", p))
		if err != nil || len(more) == 0 {
			t.Skipf("no kernel/sched/ext in %s (%v)", src, err)
		}
		files = append(files, more...)
	}
	call := regexp.MustCompile(`\b(?:scx_error|scx_exit|__scx_exit|handle_lockup)\((?:[^()";{}]|\([^()]*\))+?("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*)`)
	text := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	found := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(data), -1) {
			s := ""
			for _, q := range text.FindAllString(m[1], -1) {
				u, err := strconv.Unquote(q)
				if err != nil {
					t.Fatalf("%s: %s: %v", f, q, err)
				}
				s += u
			}
			found[s] = true
		}
	}
	for _, e := range errorTexts {
		if !found[e.format] {
			t.Errorf("the kernel has no %q", e.format)
		}
		delete(found, e.format)
	}
	for s := range found {
		t.Errorf("not in the list: %q", s)
	}
}

// TestLockups: what the kernel's watchdogs and system requests do.
func TestLockups(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(k *Kernel)
		kind ops.ExitKind
		cpu  int32
		msg  string
		log  string
	}{
		{"rcu stall", func(k *Kernel) { k.RCUStall(0) }, ops.ExitError, -1, "RCU CPU stall detected!", ""},
		{"soft lockup", func(k *Kernel) { k.SoftLockup(0, 16) }, ops.ExitError, 0, "soft lockup - CPU 0 stuck for 16s",
			"sched_ext: Soft lockup - CPU 0 stuck for 16s, disabling BPF scheduler"},
		{"hard lockup", func(k *Kernel) { k.HardLockup(0) }, ops.ExitError, 0, "hard lockup - CPU 0",
			"sched_ext: Hard lockup - CPU 0, disabling BPF scheduler"},
		{"late watchdog", func(k *Kernel) { k.WatchdogLate(0, 1016) }, ops.ExitErrorStall, 0, "watchdog failed to check in for 1.016s", ""},
		{"sysrq", func(k *Kernel) { k.SysRqReset() }, ops.ExitSysRq, -1, "", `sched_ext: BPF scheduler "fifo" disabled (disabled by sysrq-S)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
			r.k.setup()
			tc.do(r.k) // nothing is enabled
			if r.k.ExitInfo() != nil {
				t.Error("an exit without a policy")
			}
			r.enable(fifoTable(r.k))
			r.run(ms(10))
			tc.do(r.k)
			r.run(ms(20))
			e := r.k.ExitInfo()
			if e == nil || e.Kind != tc.kind || e.Msg != tc.msg || e.ExitCPU != tc.cpu {
				t.Fatalf("%+v", e)
			}
			if tc.log != "" && !slices.Contains(r.k.Log(), tc.log) {
				t.Errorf("not printed: %s\n%q", tc.log, r.k.Log())
			}
			checkProgress(t, r, "fair")
		})
	}
}

// TestSysRqDump: each instance is dumped with its own tasks.
func TestSysRqDump(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	f.attach(t, newNode(f.rig, "child"), f.b)
	f.run(f.m.Now().Add(10 * sim.Millisecond))
	dumps := f.k.SysRqDump()
	if len(dumps) != 2 {
		t.Fatalf("%d dumps", len(dumps))
	}
	for i, want := range []string{"root: root\nDebug dump triggered by SysRq-D\n\nCPU states\n", "child: sub1-3 /a/b\nDebug dump triggered by SysRq-D\n"} {
		if !strings.HasPrefix(dumps[i], want) {
			t.Errorf("dump %d: %.80q", i, dumps[i])
		}
	}
	for _, c := range []struct {
		dump int
		comm string
		want bool
	}{{0, "top[1]", true}, {0, "ina[2]", true}, {0, " inb[3] ", false}, {1, "inb[3]", true}, {1, " ina[2] ", false}} {
		if strings.Contains(dumps[c.dump], c.comm) != c.want {
			t.Errorf("dump %d has %q: %v", c.dump, c.comm, !c.want)
		}
	}
	f.allRun()
}

// TestDumpOwners: the dump of an error shows all tasks with the instance that each belongs to, and marks its own.
func TestDumpOwners(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	sub := f.attach(t, newNode(f.rig, "child"), f.b)
	f.run(f.m.Now().Add(10 * sim.Millisecond))
	sub.Do(func() { f.k.ErrorBPF("broken") })
	f.run(f.m.Now().Add(10 * sim.Millisecond))
	dump := sub.ExitInfo().Dump
	for _, want := range []string{" top[1] root +", " ina[2] root +", fmt.Sprintf(" inb[3] *sub1-%d +", f.b.ID)} {
		if !strings.Contains(strings.ReplaceAll(dump, " -", " +"), want) {
			t.Errorf("no %q in\n%s", want, dump)
		}
	}
}

// TestAs: kernel functions act for the instance of a table, for the root where a table belongs to nobody and the root is of the
// time before sub-schedulers, and for nobody otherwise.
func TestAs(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	child := newNode(f.rig, "child").table()
	child.SubCgroupID = f.b.ID
	sub, err := f.k.EnableSub(child)
	if err != nil {
		t.Fatal(err)
	}
	const dsq = 77
	as := func(tb *ops.Table) int32 {
		defer f.k.End(f.k.As(tb))
		return f.k.CreateDSQ(dsq, -1)
	}
	if ret := as(child); ret != 0 {
		t.Errorf("as the child: %d", ret)
	}
	if f.k.DSQNrQueued(dsq) >= 0 {
		t.Error("the root has the queue of the child")
	}
	if ret := as(&ops.Table{}); ret != -ENODEV {
		t.Errorf("as nobody: %d, want %d", ret, -ENODEV)
	}
	if ret := f.k.CreateDSQ(dsq, -1); ret != 0 {
		t.Errorf("as the root: %d", ret)
	}
	sub.Disable(ops.ExitUnreg)
	if ret := as(child); ret != -EEXIST {
		t.Errorf("as the child, which has ended: %d, want %d", ret, -EEXIST)
	}
	f.k.Unregister(child)
	if ret := as(child); ret != -ENODEV {
		t.Errorf("as the child, which is forgotten: %d, want %d", ret, -ENODEV)
	}
	f.allRun()

	r := newRig(t, rigOptions{})
	r.enable(&ops.Table{Name: "old"})
	role := r.k.As(&ops.Table{})
	if ret := r.k.CreateDSQ(dsq, -1); ret != 0 {
		t.Errorf("for a root without sub_attach: %d", ret)
	}
	r.k.End(role)
}
