package helpers

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

// fakeHost is a machine of 4 CPUs that stands still.
type fakeHost struct {
	cpu     int32
	now     uint64
	irqsOff bool
	dying   uint64 // a cgroup that was removed
	lines   []string
	armed   map[uint64]string
	fire    map[uint64]func()
}

func (h *fakeHost) CPU() int32                    { return h.cpu }
func (h *fakeHost) NrCPUs() int32                 { return 4 }
func (h *fakeHost) NowNS() uint64                 { return h.now }
func (h *fakeHost) CurrentTask() uint64           { return mem.Base + 0x40 }
func (h *fakeHost) CurrentPID() (pid, tgid int32) { return 7, 5 }
func (h *fakeHost) Rand32() uint32                { return 4 }
func (h *fakeHost) Printk(line string)            { h.lines = append(h.lines, line) }
func (h *fakeHost) Node() int32                   { return 1 }
func (h *fakeHost) CurrentComm() string           { return "a-name-of-fifteen" }
func (h *fakeHost) Dying(cgroup uint64) bool      { return cgroup == h.dying }
func (h *fakeHost) IRQsDisabled() bool            { return h.irqsOff }
func (h *fakeHost) DisarmTimer(key uint64) (was bool) {
	_, was = h.armed[key]
	delete(h.armed, key)
	return was
}

func (h *fakeHost) ArmTimer(key uint64, cpu int32, at uint64, fire func()) {
	h.armed[key] = fmt.Sprintf("cpu %d at %d", cpu, at)
	h.fire[key] = fire
}

// rig is an environment with scratch memory.
type rig struct {
	t     *testing.T
	env   *Env
	host  *fakeHost
	table []abi.Func
	call  abi.Call
	buf   uint64 // address of 8192 bytes
	async []abi.Args
}

func newRig(t *testing.T) *rig {
	t.Helper()
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	tab, err := maps.NewTable(m, 4, 8)
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHost{cpu: 2, now: 5_000_000_123, armed: map[uint64]string{}, fire: map[uint64]func(){}}
	r := &rig{t: t, host: h, env: &Env{Mem: m, Host: h, Maps: tab}}
	r.env.RunSub = func(fn uint64, a abi.Args) { r.async = append(r.async, abi.Args{fn, a[0], a[1], a[2]}) }
	r.table = r.env.Table()
	if r.buf, _, err = m.Alloc(8192, 4096); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) run(name string, args ...uint64) int64 {
	r.t.Helper()
	fn := r.table[Number(name)]
	if fn == nil {
		r.t.Fatalf("helper %s is missing", name)
	}
	var a abi.Args
	copy(a[:], args)
	r.call.Fault = ""
	return int64(fn(&r.call, &a))
}

// want runs a helper and compares its result; fault is the expected Fault.
func (r *rig) want(res int64, fault, name string, args ...uint64) {
	r.t.Helper()
	got := r.run(name, args...)
	if got != res && fault == "" || r.call.Fault != fault {
		r.t.Errorf("bpf_%s(%#x) = %d, fault %q; want %d, fault %q", name, args, got, r.call.Fault, res, fault)
	}
}

// put writes data to the scratch memory at off and returns its address.
func (r *rig) put(off uint64, data string) uint64 {
	copy(r.env.Mem.Bytes(r.buf+off, uint64(len(data))), data)
	return r.buf + off
}

func (r *rig) get(addr, n uint64) string { return string(r.env.Mem.Bytes(addr, n)) }

func (r *rig) create(s maps.Spec) maps.Map {
	r.t.Helper()
	m, err := r.env.Maps.New(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func neg(e abi.Errno) int64 { return -int64(e) }

const bad = uint64(0x1234)

func TestNames(t *testing.T) {
	for n, want := range map[int64]string{1: "bpf_map_lookup_elem", 5: "bpf_ktime_get_ns", 12: "bpf_tail_call", 181: "bpf_loop", 194: "bpf_kptr_xchg",
		211: "bpf_cgrp_storage_delete", 0: "", 212: "", -1: ""} {
		if got := Name(n); got != want {
			t.Errorf("Name(%d) = %q, want %q", n, got, want)
		}
		if want != "" && Number(want) != n {
			t.Errorf("Number(%q) = %d, want %d", want, Number(want), n)
		}
	}
	if Number("bpf_no_such_thing") != 0 || Number("unspec") != 0 {
		t.Error("a helper that does not exist has a number")
	}
	r := newRig(t)
	if r.table[Number("send_signal")] != nil || Note(Number("send_signal")) == "" || Note(-5) != "" || Note(1<<40) != "" {
		t.Error("what is not modelled has a note and no function")
	}
}

func TestMaps(t *testing.T) {
	r := newRig(t)
	arr := r.create(maps.Spec{Name: "arr", Type: maps.TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 3}).Info().Addr
	pcpu := r.create(maps.Spec{Name: "pcpu", Type: maps.TypePerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 3})
	hash := r.create(maps.Spec{Name: "hash", Type: maps.TypeHash, KeySize: 4, ValueSize: 8, MaxEntries: 2}).Info().Addr
	q := r.create(maps.Spec{Name: "q", Type: maps.TypeQueue, ValueSize: 8, MaxEntries: 1}).Info().Addr
	ro := r.create(maps.Spec{Name: "ro", Type: maps.TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagRdonlyProg}).Info().Addr
	key, key3 := r.put(0, "\x01\x00\x00\x00"), r.put(8, "\x03\x00\x00\x00")
	val := r.put(16, "abcdefgh")

	r.want(0, "", "map_update_elem", arr, key, val, 0)
	at := uint64(r.run("map_lookup_elem", arr, key))
	if got := r.get(at, 8); got != "abcdefgh" {
		t.Errorf("value %q", got)
	}
	r.want(0, "", "map_lookup_elem", arr, key3)
	r.want(neg(abi.E2BIG), "", "map_update_elem", arr, key3, val, 0)
	r.want(neg(abi.EEXIST), "", "map_update_elem", arr, key, val, 1)
	r.want(neg(abi.EINVAL), "", "map_delete_elem", arr, key)
	r.want(0, "bpf_map_lookup_elem: 0x1234 is not a map", "map_lookup_elem", bad, key)
	r.want(0, "bpf_map_lookup_elem: invalid read of 4 bytes at 0x1234", "map_lookup_elem", arr, bad)
	r.want(0, "bpf_map_update_elem: invalid read of 8 bytes at 0x1234", "map_update_elem", arr, key, bad, 0)
	r.want(0, "bpf_map_update_elem: write into map ro forbidden", "map_update_elem", ro, r.put(40, "\x00\x00\x00\x00"), val, 0)

	r.want(neg(abi.ENOENT), "", "map_delete_elem", hash, key)
	r.want(neg(abi.ENOENT), "", "map_update_elem", hash, key, val, 2)
	r.want(0, "", "map_update_elem", hash, key, val, 0)
	r.want(0, "", "map_delete_elem", hash, key)

	if got, want := uint64(r.run("map_lookup_elem", pcpu.Info().Addr, key)), pcpu.Lookup([]byte{1, 0, 0, 0}, 2); got != want {
		t.Errorf("per-CPU lookup on CPU 2: %#x, want %#x", got, want)
	}
	if got, want := uint64(r.run("map_lookup_percpu_elem", pcpu.Info().Addr, key, 3)), pcpu.Lookup([]byte{1, 0, 0, 0}, 3); got != want {
		t.Errorf("lookup for CPU 3: %#x, want %#x", got, want)
	}
	r.want(0, "", "map_lookup_percpu_elem", pcpu.Info().Addr, key, 4)
	r.want(0, `bpf_map_lookup_percpu_elem: map "hash" is of type hash`, "map_lookup_percpu_elem", hash, key, 0)

	r.want(0, "", "map_push_elem", q, val, 0)
	r.want(neg(abi.E2BIG), "", "map_push_elem", q, val, 0)
	out := r.put(64, "--------")
	r.want(0, "", "map_peek_elem", q, out)
	r.want(0, "", "map_pop_elem", q, out)
	if got := r.get(out, 8); got != "abcdefgh" {
		t.Errorf("popped %q", got)
	}
	r.want(neg(abi.ENOENT), "", "map_pop_elem", q, out)
	r.want(0, `bpf_map_lookup_elem: map "q" is of type queue`, "map_lookup_elem", q, bad)
	r.want(0, `bpf_map_update_elem: map "q" is of type queue`, "map_update_elem", q, bad, val, 0)
	r.want(0, `bpf_map_push_elem: map "hash" is of type hash`, "map_push_elem", hash, val, 0)
}

func TestStorage(t *testing.T) {
	r := newRig(t)
	s := r.create(maps.Spec{Name: "s", Type: maps.TypeTaskStorage, KeySize: 4, ValueSize: 8, Flags: maps.FlagNoPrealloc}).Info().Addr
	task, val := r.buf+0x100, r.put(16, "abcdefgh")
	r.want(0, "", "task_storage_get", s, task, 0, 0)
	at := r.run("task_storage_get", s, task, val, 1)
	if at == 0 || r.get(uint64(at), 8) != "abcdefgh" {
		t.Fatalf("created at %#x", at)
	}
	r.want(at, "", "task_storage_get", s, task, 0, 1)
	r.want(0, "", "task_storage_get", s, 0, 0, 1)
	r.want(0, "", "task_storage_get", s, task, 0, 2)
	r.want(0, "bpf_task_storage_get: the owner is no kernel object", "task_storage_get", s, bad, 0, 1)
	r.want(0, `bpf_cgrp_storage_get: map "s" is of type task_storage`, "cgrp_storage_get", s, task, 0, 1)
	r.want(0, `bpf_map_lookup_elem: map "s" is of type task_storage`, "map_lookup_elem", s, val)
	r.want(neg(abi.EINVAL), "", "task_storage_delete", s, 0)
	r.want(0, "", "task_storage_delete", s, task)
	r.want(neg(abi.ENOENT), "", "task_storage_delete", s, task)
}

// TestDyingCgroup: a removed cgroup keeps its storage and gets no new one.
func TestDyingCgroup(t *testing.T) {
	r := newRig(t)
	s := r.create(maps.Spec{Name: "s", Type: maps.TypeCgrpStorage, KeySize: 4, ValueSize: 8, Flags: maps.FlagNoPrealloc}).Info().Addr
	one, other := r.buf+0x100, r.buf+0x200
	at := r.run("cgrp_storage_get", s, one, 0, 1)
	if at == 0 {
		t.Fatal("no storage for a live cgroup")
	}
	r.host.dying = one
	r.want(at, "", "cgrp_storage_get", s, one, 0, 0)
	r.want(at, "", "cgrp_storage_get", s, one, 0, 1)
	r.host.dying = other
	r.want(0, "", "cgrp_storage_get", s, other, 0, 1)
	r.host.dying = 0
	if r.run("cgrp_storage_get", s, other, 0, 1) == 0 {
		t.Error("no storage for another live cgroup")
	}
	task := r.create(maps.Spec{Name: "t", Type: maps.TypeTaskStorage, KeySize: 4, ValueSize: 8, Flags: maps.FlagNoPrealloc}).Info().Addr
	r.host.dying = other
	if r.run("task_storage_get", task, other, 0, 1) == 0 {
		t.Error("tasks are no cgroups")
	}
}

func TestMemory(t *testing.T) {
	r := newRig(t)
	src, dst := r.put(0, "hello\x00world"), r.put(64, "----------------")
	r.want(0, "", "probe_read_kernel", dst, 5, src)
	if got := r.get(dst, 8); got != "hello---" {
		t.Errorf("copied %q", got)
	}
	r.want(neg(abi.EFAULT), "", "probe_read_kernel", dst, 4, bad)
	if got := r.get(dst, 8); got != "\x00\x00\x00\x00o---" {
		t.Errorf("after a bad read: %q", got)
	}
	r.want(0, "bpf_probe_read_kernel: invalid write of 4 bytes at 0x1234", "probe_read_kernel", bad, 4, src)
	r.want(neg(abi.EFAULT), "", "probe_read_user", dst, 8, src)

	r.put(64, "----------------")
	r.want(6, "", "probe_read_kernel_str", dst, 16, src)
	if got := r.get(dst, 7); got != "hello\x00-" {
		t.Errorf("copied %q", got)
	}
	r.want(4, "", "probe_read_kernel_str", dst, 4, src)
	if got := r.get(dst, 5); got != "hel\x00o" {
		t.Errorf("cut %q", got)
	}
	r.want(0, "", "probe_read_kernel_str", dst, 0, src)
	r.want(neg(abi.EFAULT), "", "probe_read_kernel_str", dst, 16, 0)
	end := mem.Base + r.env.Mem.Limit() - 3 // a string that ends with memory
	copy(r.env.Mem.Bytes(end, 3), "ab\x00")
	r.want(3, "", "probe_read_kernel_str", dst, 200, end)
	copy(r.env.Mem.Bytes(end, 3), "abc")
	r.want(neg(abi.EFAULT), "", "probe_read_kernel_str", dst, 200, end)

	r.put(0, "\x00\x00\x00\x00\x00\x00\x00\x00")
	r.want(0, "", "kptr_xchg", r.buf, 77)
	r.want(77, "", "kptr_xchg", r.buf, 0)
	r.want(0, "bpf_kptr_xchg: invalid write of 8 bytes at 0x1234", "kptr_xchg", bad, 0)
	r.want(0, "", "spin_lock", r.buf)
	r.want(0, fmt.Sprintf("bpf_spin_lock: the lock at %#x is held already", r.buf), "spin_lock", r.buf)
	r.want(0, "", "spin_unlock", r.buf)
	r.want(0, fmt.Sprintf("bpf_spin_unlock: the lock at %#x is not held", r.buf), "spin_unlock", r.buf)

	r.want(0, "", "per_cpu_ptr", r.buf, 4)
	r.want(int64(r.buf), "", "per_cpu_ptr", r.buf, 3)
	r.env.PerCPU = func(ptr uint64, cpu int32) uint64 { return ptr + uint64(cpu)*64 }
	r.want(int64(r.buf+192), "", "per_cpu_ptr", r.buf, 3)
	r.want(int64(r.buf+128), "", "this_cpu_ptr", r.buf)
}

func TestSystem(t *testing.T) {
	r := newRig(t)
	r.env.HZ = 250
	for name, want := range map[string]int64{
		"ktime_get_ns": 5_000_000_123, "ktime_get_boot_ns": 5_000_000_123, "ktime_get_tai_ns": 5_000_000_123, "ktime_get_coarse_ns": 5_000_000_000,
		"jiffies64": 1<<32 - 75000 + 1250, "get_prandom_u32": 4, "get_smp_processor_id": 2, "get_numa_node_id": 1,
		"get_current_pid_tgid": 5<<32 | 7, "get_current_uid_gid": 0,
		"get_current_task": -(1 << 31) + 0x1040, "get_current_task_btf": -(1 << 31) + 0x1040, // mem.Base is the top 2 GiB and a page
	} {
		r.want(want, "", name)
	}
	dst := r.put(0, "--------------------")
	r.want(0, "", "get_current_comm", dst, 16)
	if got := r.get(dst, 17); got != "a-name-of-fifte\x00-" {
		t.Errorf("comm %q", got)
	}
	r.host.now = 1 << 62 // a century: no overflow
	r.want(1<<62/4_000_000*4_000_000, "", "ktime_get_coarse_ns")
}

func TestLoops(t *testing.T) {
	r := newRig(t)
	var seen []uint64
	stop := uint64(100)
	r.call.Sub = func(fn uint64, a abi.Args) uint64 {
		seen = append(seen, fn, a[0], a[1])
		if a[0] == stop {
			return 1
		}
		return 0
	}
	r.want(2, "", "loop", 2, 11, 22, 0)
	if d := cmp.Diff([]uint64{11, 0, 22, 11, 1, 22}, seen); d != "" {
		t.Error(d)
	}
	stop = 3
	r.want(4, "", "loop", 10, 11, 22, 0)
	r.want(neg(abi.EINVAL), "", "loop", 10, 11, 22, 1)
	r.want(neg(abi.E2BIG), "", "loop", maxLoops+1, 11, 22, 0)
	r.want(0, "", "loop", 1<<32, 11, 22, 0)

	m := r.create(maps.Spec{Name: "arr", Type: maps.TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 3})
	var keys []uint64
	r.call.Sub = func(fn uint64, a abi.Args) uint64 {
		k, _ := r.env.Mem.Load(a[1], 4)
		if a[0] != m.Info().Addr || a[2] != m.Lookup(u32(uint32(k)), 0) || a[3] != 22 {
			t.Errorf("callback arguments %#x", a)
		}
		keys = append(keys, k)
		return uint64(len(keys) / 5)
	}
	r.want(3, "", "for_each_map_elem", m.Info().Addr, 11, 22, 0)
	r.want(2, "", "for_each_map_elem", m.Info().Addr, 11, 22, 0)
	if !slices.Equal(keys, []uint64{0, 1, 2, 0, 1}) {
		t.Errorf("keys %v", keys)
	}
	r.want(neg(abi.EINVAL), "", "for_each_map_elem", m.Info().Addr, 11, 22, 1)
	q := r.create(maps.Spec{Name: "q", Type: maps.TypeQueue, ValueSize: 8, MaxEntries: 1})
	r.want(0, `bpf_for_each_map_elem: map "q" is of type queue`, "for_each_map_elem", q.Info().Addr, 11, 22, 0)
	r.call.Sub = func(fn uint64, a abi.Args) uint64 { r.call.Fault = "inside"; return 0 }
	r.want(0, "inside", "loop", 10, 11, 22, 0)
	r.want(0, "inside", "for_each_map_elem", m.Info().Addr, 11, 22, 0)
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func TestStrings(t *testing.T) {
	r := newRig(t)
	r.put(0, "abc\x00")
	for _, tc := range []struct {
		s    string
		n    uint64
		want int64
	}{{"abc\x00", 4, 0}, {"abd\x00", 4, 1}, {"abb\x00", 4, -1}, {"abX\x00", 2, 0}, {"ab\x00", 3, -1}, {"", 0, 0}} {
		t.Run("strncmp "+tc.s, func(t *testing.T) {
			r.want(tc.want, "", "strncmp", r.put(64, tc.s), tc.n, r.buf)
		})
	}
	for _, tc := range []struct {
		s     string
		flags uint64
		l, u  int64 // results of strtol and strtoul
		lv    int64 // value that strtol stores
	}{
		{"12", 0, 2, 2, 12}, {"  12x", 0, 4, 4, 12}, {"-12", 0, 3, neg(abi.EINVAL), -12}, {"0x1F", 0, 4, 4, 31}, {"010", 0, 3, 3, 8},
		{"010", 10, 3, 3, 10}, {"1f", 16, 2, 2, 31}, {"0x1f", 16, 4, 4, 31}, {"0x", 0, 1, 1, 0}, {"9", 8, neg(abi.EINVAL), neg(abi.EINVAL), 0},
		{"", 0, neg(abi.EINVAL), neg(abi.EINVAL), 0}, {"  ", 0, neg(abi.EINVAL), neg(abi.EINVAL), 0}, {"5", 7, neg(abi.EINVAL), neg(abi.EINVAL), 0},
		{"5", 64, neg(abi.EINVAL), neg(abi.EINVAL), 0}, {"9223372036854775807", 0, 19, 19, 1<<63 - 1}, {"9223372036854775808", 0, neg(abi.ERANGE), 19, 0},
		{"-9223372036854775808", 0, 20, neg(abi.EINVAL), -1 << 63}, {"18446744073709551616", 0, neg(abi.ERANGE), neg(abi.ERANGE), 0}, {"-", 0, neg(abi.EINVAL), neg(abi.EINVAL), 0},
	} {
		t.Run("strtol "+tc.s, func(t *testing.T) {
			s, res := r.put(64, tc.s+"\x00"), r.put(256, "--------")
			r.want(tc.l, "", "strtol", s, uint64(len(tc.s)), tc.flags, res)
			if v, _ := r.env.Mem.Load(res, 8); int64(v) != tc.lv {
				t.Errorf("stored %d, want %d", int64(v), tc.lv)
			}
			r.want(tc.u, "", "strtoul", s, uint64(len(tc.s)), tc.flags, res)
		})
	}
}
