package verifier

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
)

// TestRules runs the programs in testdata/rules: "=== function word options". Each rule is named after the kernel's function
// that has it, and has a program that it lets through and one that it refuses.
func TestRules(t *testing.T) {
	w := newWorld(t)
	w.addRules(t)
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no test programs")
	}
	type pair struct{ accepts, refuses bool }
	seen := map[string]*pair{}
	var order []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(b), "\n=== ")[1:] {
			head, text, _ := strings.Cut(c, "\n")
			rule, rest, _ := strings.Cut(head, " ")
			word, options, _ := strings.Cut(rest, " ")
			if seen[rule] == nil {
				seen[rule] = &pair{}
				order = append(order, rule)
			}
			t.Run(rule+"/"+word, func(t *testing.T) {
				p, e := w.runRule(t, word, options, text)
				if p.want == "" {
					seen[rule].accepts = true
				} else {
					seen[rule].refuses = true
				}
				switch {
				case e == nil && p.want != "":
					t.Fatalf("accepted, want %s at instruction %d", p.want, p.insn)
				case e != nil && p.want == "":
					t.Fatalf("refused: %v\n%s", e, strings.Join(e.Log, "\n"))
				case e != nil && (e.Code != p.want || p.insn != e.Insn && e.Insn >= 0):
					t.Fatalf("refused: %v\nwant %s at instruction %d\n%s", e, p.want, p.insn, strings.Join(e.Log, "\n"))
				}
			})
		}
	}
	if t.Failed() {
		return
	}
	for _, rule := range order {
		if p := seen[rule]; !p.accepts || !p.refuses {
			t.Errorf("%s: needs a program that is accepted and one that is refused", rule)
		}
	}
	t.Logf("%d rules", len(order))
}

// addRules adds functions whose parameters have every ending that means something, and the program's own types.
func (w *world) addRules(tb testing.TB) {
	tb.Helper()
	u64 := &btf.Int{Name: "u64", Size: 8}
	u32 := &btf.Int{Name: "u32", Size: 4}
	char := &btf.Int{Name: "char", Size: 1}
	ptr := func(t btf.Type) btf.Type { return &btf.Pointer{Target: t} }
	kernel := func(name string) btf.Type {
		var s *btf.Struct
		if err := w.spec.TypeByName(name, &s); err != nil {
			tb.Fatalf("struct %s: %v", name, err)
		}
		return s
	}
	add := func(name string, flags abi.KfuncFlags, ret btf.Type, params ...btf.FuncParam) {
		w.kfuncs[name] = Kfunc{Flags: flags, Type: &btf.Func{Name: name, Type: &btf.FuncProto{Return: ret, Params: params}}}
	}
	arg := func(name string, t btf.Type) btf.FuncParam { return btf.FuncParam{Name: name, Type: t} }
	void, aux := &btf.Void{}, kernel("bpf_prog_aux")
	skb := &btf.Struct{Name: "__sk_buff", Size: 192}
	add("test_sz", 0, u32, arg("mem", ptr(void)), arg("mem__sz", u32))
	add("test_szk", 0, u32, arg("mem", ptr(void)), arg("mem__szk", u32))
	add("test_k", 0, u32, arg("n__k", u32))
	add("test_ign", 0, u32, arg("p__ign", ptr(w.task)))
	add("test_nullable", 0, u32, arg("p__nullable", ptr(w.task)))
	add("test_str", 0, u32, arg("s__str", ptr(char)))
	add("test_map", 0, u32, arg("m__map", ptr(void)))
	add("test_prog", 0, u32, arg("n", u32), arg("aux__prog", ptr(aux)))
	add("test_implicit", abi.ImplicitArgs, u32, arg("n", u32))
	add("test_implicit_impl", 0, u32, arg("n", u32), arg("aux", ptr(aux)))
	add("test_iter", 0, u32, arg("it__iter", ptr(kernel("bpf_iter_num"))))
	add("test_ctx", 0, u32, arg("s", ptr(skb)))
	add("test_struct", 0, u32, arg("v", ptr(&btf.Struct{Name: "v", Size: 16, Members: []btf.Member{{Name: "a", Type: u64}, {Name: "b", Type: u64, Offset: 64}}})))
	add("test_buf", 0, ptr(void), arg("rdwr_buf_size", u32))
	w.kfuncs["test_buf"].Type.Type.(*btf.FuncProto).Return = ptr(char)
	add("test_rcu", abi.RCU, u32, arg("p", ptr(w.task)))
	add("test_protected", abi.RCUProtected|abi.RetNull, ptr(w.task))
	add("test_acquire", abi.Acquire|abi.RetNull, ptr(w.task))
	add("test_release", abi.Release, void, arg("p", ptr(w.task)))
	add("bpf_dynptr_from_skb", 0, u32, arg("s", ptr(skb)), arg("flags", u64), arg("ptr__uninit", ptr(kernel("bpf_dynptr"))))

	foo := &btf.Struct{Name: "foo", Size: 72, Members: []btf.Member{{Name: "data", Type: u64},
		{Name: "node", Type: &btf.Struct{Name: "bpf_list_node", Size: 24}, Offset: 8 * 8},
		{Name: "rb", Type: &btf.Struct{Name: "bpf_rb_node", Size: 32}, Offset: 32 * 8},
		{Name: "ref", Type: &btf.Struct{Name: "bpf_refcount", Size: 4}, Offset: 64 * 8}}}
	plain := &btf.Struct{Name: "plain", Size: 16, Members: []btf.Member{{Name: "a", Type: u64}, {Name: "b", Type: u64, Offset: 64}}}
	b, err := btf.NewBuilder([]btf.Type{foo, plain}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if w.local, err = btf.LoadSpecFromReader(bytes.NewReader(raw)); err != nil {
		tb.Fatal(err)
	}
}

// packetContext is the part of struct __sk_buff that the test programs use.
type packetContext struct{}

func (packetContext) Region() uint32 { return 0 }
func (packetContext) Movable() bool  { return false }

func (packetContext) Access(off, size int, write bool) (Field, bool) {
	kind, ok := map[int]FieldKind{76: FieldPacket, 80: FieldPacketEnd, 140: FieldPacketMeta}[off]
	switch {
	case ok:
		return Field{Kind: kind}, size == 4 && !write
	case off == 168:
		return Field{Kind: FieldSockCommon, Nullable: true}, size == 8 && !write
	}
	return Field{}, off >= 0 && off < 72 && off%size == 0
}

func (w *world) runRule(tb testing.TB, name, options, text string) (*testProgram, *Error) {
	tb.Helper()
	text = strings.NewReplacer("+ MM)", fmt.Sprintf("+ %d)", w.offset("last_wakee")), "+ CPUS_PTR)", fmt.Sprintf("+ %d)", w.offset("cpus_ptr"))).Replace(text)
	var bpfMap *btf.Struct
	if err := w.spec.TypeByName("bpf_map", &bpfMap); err != nil {
		tb.Fatal(err)
	}
	for _, m := range bpfMap.Members {
		if m.Name == "map_type" {
			text = strings.ReplaceAll(text, "+ MAP_TYPE)", fmt.Sprintf("+ %d)", m.Offset.Bytes()))
		}
	}
	for _, n := range []string{"foo", "plain"} {
		var s *btf.Struct
		if err := w.local.TypeByName(n, &s); err != nil {
			tb.Fatal(err)
		}
		id, err := w.local.TypeID(s)
		if err != nil {
			tb.Fatal(err)
		}
		text = strings.ReplaceAll(text, "TYPE("+n+")", fmt.Sprint(id))
	}
	p, err := assemble(name, text)
	if err != nil {
		tb.Fatal(err)
	}
	p.obj.BTF = w.local
	at := w.attachment(options)
	for o := range strings.FieldsSeq(options) {
		switch {
		case o == "tc", o == "packetread":
			at.Context, at.CtxType, at.KernCtx, at.LegacyLoads, at.Packet = packetContext{}, "__sk_buff", "sk_buff", true, PacketReadWrite
			at.Retval.Lo = -4095
			if o == "packetread" {
				at.Packet, at.LegacyLoads = PacketRead, false
			}
		case o == "event":
			at.Event = true
		case o == "filter":
			at.SocketFilter = true
		case o == "getsockopt":
			at.Retval.Any = true
		case o == "voidhook":
			at.Retval.Void = true
		case o == "private":
			at.PrivateStack = true
		case strings.HasPrefix(o, "exception:"):
			for i, s := range p.prog.Code.Subs {
				if s.Name == o[len("exception:"):] {
					p.prog.Code.Exception = int32(i)
				}
			}
		case o == "owned":
			at.Context.(*Args).Owned = []bool{true, false, false}
		}
	}
	_, err = Check(p.obj, p.prog, at)
	if err == nil {
		return p, nil
	}
	e, ok := err.(*Error)
	if !ok {
		tb.Fatalf("%v is no *Error", err)
	}
	return p, e
}
