package plan

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/workloads/rtapp"
)

// words are the values of an enumeration by their names.
func words[K interface {
	~uint8 | ~int
	String() string
}]() []string {
	var out []string
	for i := K(0); ; i++ {
		name, ok := nameOf(i)
		if !ok {
			return out
		}
		out = append(out, name)
	}
}

// nameOf is the name of a value, not ok behind the last.
func nameOf(v fmt.Stringer) (name string, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return v.String(), true
}

// language is what each word of workload files is to the player: a workload with it, and what the player refuses it with, "" if it
// plays it. Words that the simulator does not have either are refused when the file is read.
var language = []struct{ word, text, refusal string }{
	// Events of tasks.
	{"lock", event(`"lock": "m", "unlock": "m"`), ""},
	{"unlock", event(`"lock": "m", "unlock": "m"`), ""},
	{"wait", event(`"lock": "m", "wait": {"ref": "c", "mutex": "m"}, "unlock": "m"`), ""},
	{"signal", event(`"signal": "c"`), ""},
	{"broad", event(`"broad": "c"`), ""},
	{"sync", event(`"lock": "m", "sync": {"ref": "c", "mutex": "m"}, "unlock": "m"`), ""},
	{"sleep", event(`"sleep": 100`), ""},
	{"runtime", event(`"runtime": 100`), ""},
	{"run", event(`"run": 100`), ""},
	{"timer", event(`"timer": {"ref": "unique", "period": 1000, "mode": "absolute"}`), ""},
	{"suspend", event(`"suspend": "a"`), ""},
	{"resume", event(`"resume": "a"`), ""},
	{"memrun", event(`"memrun": {"type": "read", "size": 1, "count": 1}`), "memrun"},
	{"mem", event(`"mem": 1000`), "mem"},
	{"iorun", event(`"iorun": 1000`), "iorun"},
	{"yield", event(`"yield": ""`), ""},
	{"barrier", event(`"barrier": "b"`), ""},
	{"fork", event(`"run": 100, "fork": "child"`), ""},
	{"sem_post", event(`"sem_post": "s"`), ""},
	{"sem_wait", event(`"sem_wait": "s"`), ""},
	// Actions of the timeline.
	{"mkdir", action(`"cgroup": "/new", "weight": 200`), ""},
	{"rmdir", action(`"cgroup": "/g"`), ""},
	{"set", action(`"cgroup": "/g", "weight": 10, "idle": false, "max": "10ms/100ms", "burst": "1ms", "cpus": "0"`), ""},
	{"move", action(`"task": "a", "cgroup": "/g"`), ""},
	{"offline", action(`"cpus": "1"`), ""},
	{"online", action(`"cpus": "1"`), ""},
	{"affinity", action(`"task": "a", "cpus": "0"`), ""},
	{"nice", action(`"task": "a-0", "value": 5`), ""},
	{"policy", action(`"task": "a", "policy": "SCHED_DEADLINE", "dl-runtime": 1000, "dl-period": 10000`), ""},
	{"kill", action(`"task": "a"`), ""},
	{"spawn", action(`"task": "child", "value": 3`), ""},
	{"rename", action(`"task": "a", "name": "other"`), "not known to the player"},
	{"migrate_disable", action(`"task": "a"`), "not known to the player"},
	{"migrate_enable", action(`"task": "a"`), "not known to the player"},
	{"speed", action(`"cpus": "0", "value": 50`), "not known to the player"},
	{"attach", action(`"scheduler": "fifo"`), "not known to the player"},
	{"detach", action(``), "not known to the player"},
	{"replace", action(`"scheduler": "fifo"`), "not known to the player"},
	{"fair_server", action(`"cpus": "0", "runtime": "10ms", "period": "100ms"`), ""},
	{"ext_server", action(`"cpus": "0-1", "runtime": "0us"`), ""},
}

func event(text string) string {
	return `{"tasks": {"a": {"loop": 2, "run": 10, ` + strings.TrimPrefix(text, `"run": 100, `) + `}, "child": {"instance": 0, "loop": 1, "run": 10}}}`
}

func action(keys string) string {
	if keys != "" {
		keys = ", " + keys
	}
	return `{"global": {"schedsim": {"duration": "1s", "cgroups": {"/g": {"weight": 50}}, "timeline": [{"at": "1ms", "do": "%s"` + keys + `}]}},
		"tasks": {"a": {"run": 10}, "child": {"instance": 0, "loop": 1, "run": 10}}}`
}

// TestLanguage goes through all events and actions of the language: the player plays each as a word that it knows, or it is refused.
func TestLanguage(t *testing.T) {
	events, actions := words[rtapp.EventKind](), words[rtapp.Do]()
	var all []string
	for _, l := range language {
		all = append(all, l.word)
	}
	if d := cmp.Diff(slices.Concat(events, actions), all); d != "" {
		t.Fatalf("the language, and what is known of the player:\n%s", d)
	}
	ops, keys := playerWords(t)
	for _, l := range language {
		t.Run(l.word, func(t *testing.T) {
			text := l.text
			if strings.Contains(text, "%s") {
				text = fmt.Sprintf(text, l.word)
			}
			p, err := Compile("x.json", []byte(text), Options{CPUs: 2, Seed: 1})
			if l.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), l.word) || !strings.Contains(err.Error(), l.refusal) {
					t.Errorf("%v, want a refusal that says %q", err, l.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			played := false
			for line := range strings.Lines(p.Text) {
				switch f := strings.Fields(line); f[0] {
				case "op":
					if !slices.Contains(ops, f[1]) {
						t.Errorf("player.c has no op %s", f[1])
					}
					played = played || f[1] == l.word
				case "action":
					if !slices.Contains(keys, f[4]) {
						t.Errorf("operator.h has no action %s", f[4])
					}
					played = true
				}
			}
			if !played {
				t.Errorf("not in the plan:\n%s", p.Text)
			}
		})
	}
}

// playerWords are the steps and the actions that the player's sources know.
func playerWords(t *testing.T) (ops, actions []string) {
	t.Helper()
	player, err := os.ReadFile("../native/player.c")
	if err != nil {
		t.Fatal(err)
	}
	operator, err := os.ReadFile("../native/operator.h")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)op_names\[NR_OPS\] = \{(.*?)\}`).FindSubmatch(player)
	body := regexp.MustCompile(`(?s)\nstatic void act\(.*?\n\}`).Find(operator)
	if list == nil || body == nil {
		t.Fatal("no op_names in player.c, or no act in operator.h")
	}
	for _, m := range regexp.MustCompile(`"(\w+)"`).FindAllSubmatch(list[1], -1) {
		ops = append(ops, string(m[1]))
	}
	for _, m := range regexp.MustCompile(`!strcmp\(key, "(\w+)"\)`).FindAllSubmatch(body, -1) {
		actions = append(actions, string(m[1]))
	}
	return ops, actions
}

// TestReadmeSaysWhatIsRefused: whoever writes a workload reads there what the player does not play.
func TestReadmeSaysWhatIsRefused(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "Not known to the player")
	text, _, _ = strings.Cut(text, "\n\n")
	for _, l := range language {
		if said := strings.Contains(text, "`"+l.word+"`"); said != (l.refusal == "not known to the player") {
			t.Errorf("%s: refused with %q, in the paragraph of the README: %t", l.word, l.refusal, said)
		}
	}
}
