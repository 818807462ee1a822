package verifier_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

var (
	suiteRecord = flag.String("suite-record", "", "output of the recording guest: rewrite the recorded verdicts")
	suiteAsked  = flag.String("suite-asked", "", "output of the recording guest: compare the recorded verdicts with it")
	suiteFile   = flag.String("suite-data", "testdata/suite.jsonl.gz", "the recorded verdicts")
	suiteUpdate = flag.Bool("suite-update", false, "rewrite the list of known disagreements, keeping reasons")
)

const suiteKnown = "testdata/suite-known.txt"

// suiteLine is what the kernel said of one program.
type suiteLine struct {
	File string `json:"file"`
	Prog string `json:"prog"`
	// Verdict is "success" or "failure".
	Verdict string `json:"verdict"`
	// Last is the last line of the log of a refusal.
	Last string `json:"last,omitempty"`
	// Expect and Msgs are the annotations: the verdict and pieces of the log that the authors expect.
	Expect string   `json:"expect,omitempty"`
	Msgs   []string `json:"msgs,omitempty"`
	// Insns and States are the kernel's counts.
	Insns  int `json:"insns"`
	States int `json:"states"`
}

func (s *suiteLine) name() string { return s.File + "/" + s.Prog }

func readSuite(tb testing.TB) []suiteLine {
	tb.Helper()
	f, err := os.Open(*suiteFile)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var out []suiteLine
	for d := json.NewDecoder(z); d.More(); {
		var l suiteLine
		if err := d.Decode(&l); err != nil {
			tb.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

var (
	progRE  = regexp.MustCompile(`(?m)^PROCESSING /o/(\S+)\.bpf\.o/(\S+), DURATION US: \d+, VERDICT: (\w+), VERIFIER LOG:\n`)
	statsRE = regexp.MustCompile(`(?m)^processed (\d+) insns .* total_states (\d+) `)
	quoteRE = regexp.MustCompile(`^comment:(\d+):test_(expect_success|expect_failure|expect_msg=|expect_msg_unpriv=)`)
)

// damagedRE is what other output left of a last line.
var damagedRE = regexp.MustCompile(`Failed to load program|^\w* \d+ usec$`)

// figureRE is what is left of a line of figures.
var figureRE = regexp.MustCompile(`time \d+ usec$`)

// lastLine is the last line of a log before the figures.
func lastLine(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		line, _, figures := strings.Cut(strings.TrimSpace(line), "verification time ")
		lost := false // the beginning of a long log
		for _, p := range []string{"insns processed ", "processed ", "stack depth "} {
			lost = lost || strings.HasPrefix(line, p)
		}
		state := strings.HasPrefix(line, "cur state:") || strings.HasPrefix(line, "old state:")
		lost = lost || figureRE.MatchString(line)
		if line != "" && !lost && !state {
			last = line
		}
		if figures || lost {
			break
		}
	}
	return last
}

// guestSuite reads what the guest wrote: the output of veristat of an object, a line each.
func guestSuite(t *testing.T, from string) []suiteLine {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []suiteLine
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<30)
	for in.Scan() {
		var step struct{ Output, Errors string }
		if err := json.Unmarshal(in.Bytes(), &step); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(step.Output+step.Errors, "Failed to prepare") { // the programs were loaded without their maps
			continue
		}
		at := progRE.FindAllStringSubmatchIndex(step.Output, -1)
		for i, m := range at {
			end := len(step.Output)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			log := step.Output[m[1]:end]
			s := statsRE.FindStringSubmatch(log)
			if v := step.Output[m[6]:m[7]]; s == nil || v != "success" && v != "failure" { // the loader gave up before the kernel's verifier saw the program
				continue
			}
			line := suiteLine{File: step.Output[m[2]:m[3]], Prog: step.Output[m[4]:m[5]], Verdict: step.Output[m[6]:m[7]]}
			line.Insns, _ = strconv.Atoi(s[1])
			line.States, _ = strconv.Atoi(s[2])
			if line.Verdict == "failure" {
				if line.Last = lastLine(log); line.Last == "" && line.Insns > 0 { // the verifier accepted it, what follows did not
					continue
				}
				if damagedRE.MatchString(line.Last) {
					line.Last = ""
				}
			}
			out = append(out, line)
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// askedSuite compares the recorded verdicts and counts with those of a guest that was asked again, of some objects or all.
func askedSuite(t *testing.T, from string) {
	was := map[string]suiteLine{}
	for _, s := range readSuite(t) {
		was[s.name()] = s
	}
	files, equal := map[string]bool{}, 0
	for _, is := range guestSuite(t, from) {
		files[is.File] = true
		old, ok := was[is.name()]
		delete(was, is.name())
		switch {
		case !ok:
			t.Errorf("%s: not recorded, is %s", is.name(), is.Verdict)
		case old.Verdict != is.Verdict || old.Insns != is.Insns || old.States != is.States || old.Last != is.Last:
			t.Errorf("%s: %s %d %d %q was recorded, is %s %d %d %q", is.name(), old.Verdict, old.Insns, old.States, old.Last, is.Verdict, is.Insns,
				is.States, is.Last)
		default:
			equal++
		}
	}
	for name, s := range was {
		if files[s.File] {
			t.Errorf("%s: recorded, the kernel was not asked", name)
		}
	}
	t.Logf("%d programs of %d objects: verdict, instructions, states and last line as recorded", equal, len(files))
}

// recordSuite makes the data of the guest's output and of the annotations in the objects.
func recordSuite(t *testing.T, l *lab, from string) {
	out := guestSuite(t, from)
	annotate(t, l, out)
	asked := len(out)
	out = append(out, othersOf(t, out)...)
	slices.SortStableFunc(out, func(a, b suiteLine) int { return strings.Compare(a.File, b.File) })
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	for _, line := range out {
		if err := e.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*suiteFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d programs recorded, of %d", asked, len(out))
}

// othersOf are what is recorded of files that have no line in a list.
func othersOf(t *testing.T, list []suiteLine) []suiteLine {
	files := map[string]bool{}
	for _, s := range list {
		files[s.File] = true
	}
	return slices.DeleteFunc(readSuite(t), func(s suiteLine) bool { return files[s.File] })
}

// annotate adds the expectations that the sources have as declaration tags of the functions.
func annotate(t *testing.T, l *lab, lines []suiteLine) {
	byFile := map[string]*link.Object{}
	for i := range lines {
		s := &lines[i]
		o, ok := byFile[s.File]
		if !ok {
			o, _ = l.object(t, filepath.Join(os.Getenv("SCHEDSIM_SUITE"), s.File+".bpf.o"))
			byFile[s.File] = o
		}
		if o == nil {
			continue
		}
		for _, p := range o.Programs {
			if p.Name != s.Prog || len(p.Subs) == 0 || p.Subs[0].Type == nil {
				continue
			}
			type msg struct {
				n    int
				text string
			}
			var msgs []msg
			for _, tag := range p.Subs[0].Type.Tags {
				m := quoteRE.FindStringSubmatch(tag)
				if m == nil {
					continue
				}
				switch n, _ := strconv.Atoi(m[1]); m[2] {
				case "expect_success":
					s.Expect = "success"
				case "expect_failure":
					s.Expect = "failure"
				case "expect_msg=":
					msgs = append(msgs, msg{n, tag[len(m[0]):]})
				}
			}
			slices.SortFunc(msgs, func(a, b msg) int { return a.n - b.n })
			for _, m := range msgs {
				s.Msgs = append(s.Msgs, m.text)
			}
		}
	}
}

// sort of an outcome.
type suiteKind int

const (
	agreeAccept suiteKind = iota
	agreeRefuse
	refusedUnknown // both refuse, ours because it does not know something
	unsupported
	incomplete
	unsound
	suiteKinds
)

func (k suiteKind) String() string {
	return [...]string{"accepted", "refused", "refused-unknown", "UNSUPPORTED", "INCOMPLETE", "UNSOUND"}[k]
}

func outcome(want string, v *verdict) suiteKind {
	unknown := v.why != "" || v.err != nil && v.err.Code == verifier.CodeUnsupported
	switch {
	case unknown && want == "success":
		return unsupported
	case unknown:
		return refusedUnknown
	case v.got == want && want == "success":
		return agreeAccept
	case v.got == want:
		return agreeRefuse
	case want == "success":
		return incomplete
	}
	return unsound
}

// TestSuite verifies the kernel's own test programs; scripts/verifier-suite runs it.
func TestSuite(t *testing.T) {
	dir := os.Getenv("SCHEDSIM_SUITE")
	if dir == "" {
		t.Skip("SCHEDSIM_SUITE is not set: the directory with the objects that scripts/verifier-suite makes")
	}
	if *suiteAsked != "" {
		askedSuite(t, *suiteAsked)
		return
	}
	l := newLab(t)
	if *suiteRecord != "" {
		recordSuite(t, l, *suiteRecord)
	}
	want := map[string][]suiteLine{}
	var files []string
	for _, s := range readSuite(t) {
		if want[s.File] == nil {
			files = append(files, s.File)
		}
		want[s.File] = append(want[s.File], s)
	}
	known := readKnown(t)
	seen := map[string]string{}
	var sum [suiteKinds]int
	var table strings.Builder
	sameMsg, msgs := 0, 0
	expected, found := 0, 0
	fmt.Fprintf(&table, "%-40s %8s %8s %8s %8s %8s %8s  %s\n", "file", "accept", "refuse", "unknown", "unsupp.", "too", "too", "last line")
	fmt.Fprintf(&table, "%-40s %8s %8s %8s %8s %8s %8s  %s\n", "", "", "", "refused", "", "strict", "lax", "equal")
	for _, file := range files {
		path := filepath.Join(dir, file+".bpf.o")
		if _, err := os.Stat(path); err != nil {
			t.Logf("%s: not compiled here", file)
			continue
		}
		by := map[string]*suiteLine{}
		for i := range want[file] {
			by[want[file][i].Prog] = &want[file][i]
		}
		got := checkObject(t, l, path, func(p *link.Program) bool { return by[p.Name] != nil })
		for i := range got {
			delete(by, got[i].prog)
		}
		for _, s := range want[file] { // of an object that cannot be read
			if by[s.Prog] != nil {
				got = append(got, verdict{file: file, prog: s.Prog, why: "the object cannot be read"})
			}
		}
		for i := range want[file] {
			by[want[file][i].Prog] = &want[file][i]
		}
		var n [suiteKinds]int
		same, both := 0, 0
		for i := range got {
			v := &got[i]
			s := by[v.prog]
			k := outcome(s.Verdict, v)
			n[k]++
			why := v.why
			if v.err != nil {
				why = v.err.Error()
			}
			if k >= unsupported {
				seen[s.name()] = k.String()
				if kind, _, _ := strings.Cut(known[s.name()], " "); kind != k.String() {
					t.Errorf("%s %s: %s (the kernel: %s %q)", k, s.name(), why, s.Verdict, s.Last)
				} else {
					t.Logf("%s %s: %s (the kernel: %s %q)", k, s.name(), why, s.Verdict, s.Last)
				}
			}
			if k == refusedUnknown {
				t.Logf("%s %s: %s (the kernel: %q)", k, s.name(), why, s.Last)
			}
			if k == agreeRefuse && s.Last != "" {
				both++
				if sameLine(s.Last, v.err.Msg) {
					same++
				} else {
					t.Logf("MESSAGE %s: %q, the kernel %q", s.name(), v.err.Msg, s.Last)
				}
				for _, m := range s.Msgs {
					if s.Expect == "failure" {
						expected++
						if mentions(v.err, m) {
							found++
						} else {
							t.Logf("ANNOTATION %s: no %q in the log, which ends in %q", s.name(), m, v.err.Msg)
						}
					}
				}
			}
		}
		fmt.Fprintf(&table, "%-40s %8d %8d %8d %8d %8d %8d  %d/%d\n", file, n[agreeAccept], n[agreeRefuse], n[refusedUnknown], n[unsupported], n[incomplete], n[unsound], same, both)
		for i := range n {
			sum[i] += n[i]
		}
		sameMsg, msgs = sameMsg+same, msgs+both
	}
	all := 0
	for _, n := range sum {
		all += n
	}
	t.Logf("\n%s%-40s %8d %8d %8d %8d %8d %8d  %d/%d", table.String(), "total", sum[agreeAccept], sum[agreeRefuse], sum[refusedUnknown], sum[unsupported], sum[incomplete], sum[unsound], sameMsg, msgs)
	t.Logf("verdicts equal: %d of %d (%.1f %%); last lines equal: %d of %d; annotated pieces found: %d of %d", sum[agreeAccept]+sum[agreeRefuse], all,
		100*float64(sum[agreeAccept]+sum[agreeRefuse])/float64(max(all, 1)), sameMsg, msgs, found, expected)
	for name := range known {
		if seen[name] == "" {
			t.Logf("AGREES NOW %s: take it off %s", name, suiteKnown)
		}
	}
	if *suiteUpdate {
		writeKnown(t, seen, known)
	}
}

var numberRE = regexp.MustCompile(`\d+`)

// sameLine: equal, or different only in numbers that say where something is in the program.
func sameLine(kernel, ours string) bool {
	if kernel == ours || len(kernel) > 8 && strings.HasSuffix(ours, kernel) { // the kernel may have lost the beginning
		return true
	}
	for _, word := range []string{"at insn", "alloc_insn", "in func", "func#", "id=", "insn "} {
		if strings.Contains(kernel, word) {
			return numberRE.ReplaceAllString(kernel, "N") == numberRE.ReplaceAllString(ours, "N")
		}
	}
	return false
}

// mentions tells whether a log has a piece of text; {{...}} in it is a regular expression.
func mentions(e *verifier.Error, piece string) bool {
	var re strings.Builder
	for {
		lit, rest, ok := strings.Cut(piece, "{{")
		re.WriteString(regexp.QuoteMeta(lit))
		if !ok {
			break
		}
		expr, tail, _ := strings.Cut(rest, "}}")
		re.WriteString("(?:" + expr + ")")
		piece = tail
	}
	x, err := regexp.Compile(re.String())
	return err == nil && x.MatchString(strings.Join(e.Log, "\n"))
}

// readKnown reads the disagreements that are known: "file/program kind reason".
func readKnown(t *testing.T) map[string]string {
	b, err := os.ReadFile(suiteKnown)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, why, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(name, "#") {
			known[name] = strings.TrimSpace(why)
		}
	}
	return known
}

func writeKnown(t *testing.T, seen, known map[string]string) {
	var names []string
	for n := range seen {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("# Programs that get another verdict than the kernel gives, and why. scripts/verifier-suite fails on any other.\n")
	for _, n := range names {
		why := known[n]
		if kind, _, _ := strings.Cut(why, " "); kind != seen[n] {
			why = seen[n] + " ?"
		}
		fmt.Fprintf(&b, "%s %s\n", n, why)
	}
	if err := os.WriteFile(suiteKnown, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
