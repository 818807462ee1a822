package helpers

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// countingHost has performance counters and cgroups.
type countingHost struct{ *fakeHost }

func (countingHost) ReadPerf(event uint64) (count, enabled, running uint64) {
	return event, 10, 5
}
func (countingHost) CurrentCgroupID() uint64             { return 42 }
func (countingHost) AncestorCgroupID(level int32) uint64 { return 40 + uint64(level) }
func (countingHost) UnderCgroup(cgroup uint64) bool      { return cgroup == 0x100 }

func TestPerf(t *testing.T) {
	r := newRig(t)
	m := r.create(maps.Spec{Name: "events", Type: maps.TypePerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 3}).(*maps.FDArray)
	q := r.create(maps.Spec{Name: "q", Type: maps.TypeQueue, ValueSize: 8, MaxEntries: 1})
	const current = 1<<32 - 1
	buf := r.put(0, strings.Repeat("-", 24))
	r.want(neg(abi.ENOENT), "", "perf_event_read", m.Addr, current)
	r.want(neg(abi.ENOENT), "", "perf_event_read_value", m.Addr, current, buf, 24)
	if r.get(buf, 24) != strings.Repeat("\x00", 24) {
		t.Error("a value after an error")
	}
	m.Set(2, 0x50)                                    // the host's CPU
	r.want(0, "", "perf_event_read", m.Addr, current) // nothing is counted
	r.want(neg(abi.E2BIG), "", "perf_event_read", m.Addr, 3)
	r.want(neg(abi.EINVAL), "", "perf_event_read", m.Addr, 1<<32)
	r.want(neg(abi.EINVAL), "", "perf_event_read_value", m.Addr, 2, buf, 16)
	r.want(0, `bpf_perf_event_read: map "q" is of type queue`, "perf_event_read", q.Info().Addr, 0)
	r.env.Host = countingHost{r.host}
	r.want(0x50, "", "perf_event_read", m.Addr, 2)
	r.want(0, "", "perf_event_read_value", m.Addr, 2, buf, 24)
	if got, want := r.get(buf, 24), string(le64(0x50))+string(le64(10))+string(le64(5)); got != want {
		t.Errorf("value % x", got)
	}
	r.want(0, "", "perf_event_output", 0, m.Addr, current, buf, 24)
	r.want(neg(abi.ENOENT), "", "perf_event_output", 0, m.Addr, 1, buf, 24)
	r.want(0, "bpf_perf_event_output: invalid read of 24 bytes at 0x1234", "perf_event_output", 0, m.Addr, current, bad, 24)
}

func TestCgroups(t *testing.T) {
	r := newRig(t)
	m := r.create(maps.Spec{Name: "cg", Type: maps.TypeCgroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 3}).(*maps.FDArray)
	m.Set(0, 0x100)
	m.Set(1, 0x200)
	r.want(1, "", "get_current_cgroup_id")
	r.want(1, "", "get_current_ancestor_cgroup_id", 0)
	r.want(0, "", "get_current_ancestor_cgroup_id", 1)
	r.want(0, "", "get_cgroup_classid")
	r.want(1, "", "current_task_under_cgroup", m.Addr, 0)
	r.env.Host = countingHost{r.host}
	r.want(42, "", "get_current_cgroup_id")
	r.want(41, "", "get_current_ancestor_cgroup_id", 1)
	r.want(1, "", "current_task_under_cgroup", m.Addr, 0)
	r.want(0, "", "current_task_under_cgroup", m.Addr, 1)
	r.want(neg(abi.EAGAIN), "", "current_task_under_cgroup", m.Addr, 2)
	r.want(neg(abi.E2BIG), "", "current_task_under_cgroup", m.Addr, 3)
	r.want(0, "bpf_current_task_under_cgroup: 0x1234 is not a map", "current_task_under_cgroup", bad, 3)
}

// What tasks do not have answers as the kernel does where it cannot be had.
func TestNoUserMemory(t *testing.T) {
	r := newRig(t)
	dst := r.put(0, "--------")
	for _, tc := range []struct {
		name string
		args []uint64
		want abi.Errno
	}{
		{"copy_from_user", []uint64{dst, 8, 0x7000}, abi.EFAULT},
		{"copy_from_user", []uint64{dst, 0, 0x7000}, 0},
		{"copy_from_user_task", []uint64{dst, 8, 0x7000, 0, 0}, abi.EFAULT},
		{"copy_from_user_task", []uint64{dst, 8, 0x7000, 0, 1}, abi.EINVAL},
		{"probe_write_user", []uint64{0x7000, dst, 8}, abi.EFAULT},
		{"get_task_stack", []uint64{dst, dst, 8, 0}, abi.EFAULT},
		{"get_task_stack", []uint64{dst, dst, 7, 0}, abi.EINVAL},
		{"get_task_stack", []uint64{dst, dst, 8, 1 << 12}, abi.EINVAL},
		{"get_stack", []uint64{dst, dst, 8, 1 << 8}, abi.EFAULT},
		{"find_vma", []uint64{dst, 0x7000, 0, 0, 0}, abi.ENOENT},
		{"find_vma", []uint64{dst, 0x7000, 0, 0, 1}, abi.EINVAL},
		{"get_branch_snapshot", []uint64{dst, 8, 0}, abi.ENOENT},
		{"get_branch_snapshot", []uint64{dst, 8, 1}, abi.EINVAL},
	} {
		t.Run(tc.name, func(t *testing.T) { r.want(neg(tc.want), "", tc.name, tc.args...) })
	}
	if got := r.get(dst, 8); got != "\x00\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("memory %q", got)
	}
	r.want(0, "bpf_copy_from_user: invalid write of 8 bytes at 0x1234", "copy_from_user", bad, 8, 0x7000)
}

func TestNamespacePID(t *testing.T) {
	r := newRig(t)
	buf := r.put(0, "--------")
	r.want(neg(abi.EINVAL), "", "get_ns_current_pid_tgid", 4, 77, buf, 8)
	if r.get(buf, 8) != strings.Repeat("\x00", 8) {
		t.Error("ids of another namespace")
	}
	r.want(0, "", "get_ns_current_pid_tgid", 4, pidNamespace, buf, 8)
	if got := r.get(buf, 8); got != "\x07\x00\x00\x00\x05\x00\x00\x00" {
		t.Errorf("ids % x", got)
	}
	r.want(neg(abi.EINVAL), "", "get_ns_current_pid_tgid", 4, pidNamespace, buf, 4)
	r.want(neg(abi.EINVAL), "", "get_ns_current_pid_tgid", 1<<32, pidNamespace, buf, 8)
}

func TestTailCall(t *testing.T) {
	r := newRig(t)
	m := r.create(maps.Spec{Name: "progs", Type: maps.TypeProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}).(*maps.FDArray)
	perf := r.create(maps.Spec{Name: "events", Type: maps.TypePerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 3})
	m.Set(1, 8)
	for _, tc := range []struct {
		name  string
		index uint64
		tails int32
		want  abi.Next
	}{
		{"a program", 1, 0, 8}, {"index of 32 bits", 1<<32 | 1, 32, 8}, {"empty", 0, 0, 0}, {"beyond the end", 2, 0, 0}, {"too many", 1, 33, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.call.Next, r.call.Tails = 0, tc.tails
			r.want(0, "", "tail_call", 0, m.Addr, tc.index)
			if r.call.Next != tc.want {
				t.Errorf("goes on with %d, want %d", r.call.Next, tc.want)
			}
		})
	}
	r.want(0, `bpf_tail_call: map "events" is of type perf_event_array`, "tail_call", 0, perf.Info().Addr, 0)
}

// Programs look things up in maps of all types that have keys, and nowhere else.
func TestMapTypes(t *testing.T) {
	r := newRig(t)
	inner := maps.Spec{Name: "inner", Type: maps.TypeQueue, ValueSize: 8, MaxEntries: 1}
	trie := r.create(maps.Spec{Name: "trie", Type: maps.TypeLPMTrie, KeySize: 5, ValueSize: 8, MaxEntries: 2, Flags: maps.FlagNoPrealloc}).Info().Addr
	pcpu := r.create(maps.Spec{Name: "pcpu", Type: maps.TypePerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	hmaps := r.create(maps.Spec{Name: "hmaps", Type: maps.TypeHashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, Inner: &inner}).(*maps.HashOfMaps)
	bloom := r.create(maps.Spec{Name: "bloom", Type: maps.TypeBloomFilter, ValueSize: 8, MaxEntries: 2}).Info().Addr
	ring := r.create(maps.Spec{Name: "ring", Type: maps.TypeRingBuf, MaxEntries: 4096}).Info().Addr
	ro := r.create(maps.Spec{Name: "ro", Type: maps.TypeHash, KeySize: 4, ValueSize: 8, MaxEntries: 2, Flags: maps.FlagRdonlyProg}).Info().Addr
	key, val := r.put(0, "\x04\x00\x00\x00\xa0"), r.put(16, "abcdefgh")
	r.want(0, "", "map_update_elem", trie, key, val, 0)
	if at := uint64(r.run("map_lookup_elem", trie, r.put(32, "\x08\x00\x00\x00\xaf"))); r.get(at, 8) != "abcdefgh" {
		t.Errorf("prefix at %#x", at)
	}
	r.want(0, "", "map_update_elem", pcpu.Info().Addr, key, val, 0)
	if got, want := uint64(r.run("map_lookup_elem", pcpu.Info().Addr, key)), pcpu.Lookup([]byte("\x04\x00\x00\x00"), 2); got != want || r.get(got, 8) != "abcdefgh" {
		t.Errorf("value of CPU 2 at %#x, want %#x", got, want)
	}
	if at := uint64(r.run("map_lookup_percpu_elem", pcpu.Info().Addr, key, 1)); r.get(at, 8) != strings.Repeat("\x00", 8) {
		t.Errorf("value of CPU 1 at %#x", at)
	}
	q, err := hmaps.NewInner([]byte("\x04\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	r.want(int64(q.Info().Addr), "", "map_lookup_elem", hmaps.Addr, key)
	r.want(0, `bpf_map_update_elem: map "hmaps" is of type hash_of_maps`, "map_update_elem", hmaps.Addr, key, val, 0)
	r.want(0, `bpf_map_delete_elem: map "hmaps" is of type hash_of_maps`, "map_delete_elem", hmaps.Addr, key)
	r.want(neg(abi.ENOENT), "", "map_peek_elem", bloom, val)
	r.want(0, "", "map_push_elem", bloom, val, 0)
	r.want(0, "", "map_peek_elem", bloom, val)
	r.want(0, `bpf_map_pop_elem: map "bloom" is of type bloom_filter`, "map_pop_elem", bloom, val)
	r.want(0, `bpf_map_lookup_elem: map "ring" is of type ringbuf`, "map_lookup_elem", ring, key)
	r.want(0, "bpf_map_delete_elem: write into map ro forbidden", "map_delete_elem", ro, key)
	n := 0
	r.call.Sub = func(_ uint64, a abi.Args) uint64 { n++; return 0 }
	r.want(1, "", "for_each_map_elem", pcpu.Info().Addr, 11, 22, 0)
	r.want(0, `bpf_for_each_map_elem: map "trie" is of type lpm_trie`, "for_each_map_elem", trie, 11, 22, 0)
}

func TestSys(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"sys_bpf", "sys_close", "kallsyms_lookup_name", "btf_find_by_name_kind", "seq_write", "seq_printf"} {
		if r.table[Number(name)] != nil || Note(Number(name)) == "" {
			t.Errorf("%s is there without a kernel", name)
		}
	}
	var log []string
	r.env.Sys = Sys{
		BPF:    func(cmd int32, attr []byte) int64 { attr[0] = byte(cmd); return 9 },
		Close:  func(fd uint32) int64 { return int64(fd) },
		Symbol: func(name string) uint64 { return map[string]uint64{"jiffies": 0x5000}[name] },
		BTF: func(name string, kind uint32) int64 {
			if name == "task_struct" && kind == 4 {
				return 77
			}
			return neg(abi.ENOENT)
		},
		Seq: func(_ uint64, data []byte) bool { log = append(log, string(data)); return len(log) < 3 },
	}
	r.table = r.env.Table()
	attr := r.put(0, "--------")
	r.want(9, "", "sys_bpf", 5, attr, 8)
	r.want(neg(abi.EINVAL), "", "sys_bpf", 1, attr, 8) // lookups are not for programs
	r.want(0, "bpf_sys_bpf: invalid write of 8 bytes at 0x1234", "sys_bpf", 5, bad, 8)
	r.want(3, "", "sys_close", 3)
	name, res := r.put(16, "jiffies\x00"), r.put(128, "--------")
	r.want(0, "", "kallsyms_lookup_name", name, 8, 0, res)
	if got, _ := r.env.Mem.Load(res, 8); got != 0x5000 {
		t.Errorf("symbol at %#x", got)
	}
	r.want(neg(abi.EINVAL), "", "kallsyms_lookup_name", name, 7, 0, res)
	r.want(neg(abi.EINVAL), "", "kallsyms_lookup_name", name, 8, 1, res)
	r.want(neg(abi.ENOENT), "", "kallsyms_lookup_name", r.put(16, "nothing\x00"), 8, 0, res)
	r.want(77, "", "btf_find_by_name_kind", r.put(32, "task_struct\x00"), 12, 4, 0)
	r.want(neg(abi.ENOENT), "", "btf_find_by_name_kind", r.buf+32, 12, 5, 0)
	r.want(neg(abi.EINVAL), "", "btf_find_by_name_kind", r.buf+32, 12, 4, 1)
	r.want(0, "", "seq_write", 0x100, r.put(64, "text"), 4)
	r.want(0, "", "seq_printf", 0x100, r.put(80, "<%d>\x00"), 5, r.put(96, string(le64(7))), 8)
	r.want(neg(abi.EOVERFLOW), "", "seq_write", 0x100, r.buf+64, 4)
	r.want(neg(abi.EINVAL), "", "seq_printf", 0x100, r.buf+80, 5, r.buf+96, 7)
	if got := strings.Join(log, " "); got != "text <7> text" {
		t.Errorf("written %q", got)
	}
}

// Every helper of the kernel is modelled, or there is a reason why not.
func TestComplete(t *testing.T) {
	r := newRig(t)
	if len(r.table) != 212 {
		t.Errorf("%d helpers", len(r.table))
	}
	for n := int64(1); n < int64(len(r.table)); n++ {
		if note := Note(n); (r.table[n] == nil) != (note != "") {
			t.Errorf("%s: modelled %v, note %q", Name(n), r.table[n] != nil, note)
		}
	}
	// What schedulers may call: the helpers that 7.2 lets struct_ops programs call, but for those with a reason.
	for _, name := range strings.Fields(`map_lookup_elem map_update_elem map_delete_elem ktime_get_ns trace_printk get_prandom_u32
		get_smp_processor_id tail_call get_current_pid_tgid get_current_uid_gid get_current_comm get_cgroup_classid
		perf_event_read get_current_task current_task_under_cgroup get_numa_node_id perf_event_read_value
		get_current_cgroup_id map_push_elem map_pop_elem map_peek_elem spin_lock spin_unlock strtol strtoul probe_read_user
		probe_read_kernel probe_read_user_str probe_read_kernel_str jiffies64 get_ns_current_pid_tgid
		get_current_ancestor_cgroup_id ktime_get_boot_ns ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard
		ringbuf_query get_task_stack copy_from_user per_cpu_ptr this_cpu_ptr task_storage_get task_storage_delete
		get_current_task_btf for_each_map_elem snprintf timer_init timer_set_callback timer_start timer_cancel
		get_branch_snapshot trace_vprintk find_vma loop strncmp copy_from_user_task kptr_xchg map_lookup_percpu_elem
		dynptr_from_mem ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr dynptr_read dynptr_write
		dynptr_data ktime_get_tai_ns user_ringbuf_drain cgrp_storage_get cgrp_storage_delete`) {
		if n := Number(name); n == 0 || r.table[n] == nil {
			t.Errorf("%s is not modelled", name)
		}
	}
	for _, name := range []string{"send_signal", "send_signal_thread", "snprintf_btf", "task_pt_regs"} {
		if r.table[Number(name)] != nil {
			t.Errorf("%s is modelled", name)
		}
	}
}
