package link

import (
	"strings"
	"testing"
)

// TestReuse: tables may share a program for the same member of the same struct.
func TestReuse(t *testing.T) {
	table := func(typ string, create bool, members ...Member) *StructOps {
		return &StructOps{Name: "t", Type: typ, AutoCreate: create, Members: members}
	}
	enqueue, tick := Member{Name: "enqueue", Prog: "p"}, Member{Name: "tick", Prog: "p"}
	for _, tc := range []struct {
		name   string
		tables []*StructOps
		err    string
	}{
		{"two tables", []*StructOps{table("ops", true, enqueue), table("ops", true, enqueue)}, ""},
		{"two members", []*StructOps{table("ops", true, enqueue, tick)}, `member "tick": program "p" is for struct ops, member enqueue already`},
		{"two members of two tables", []*StructOps{table("ops", true, enqueue), table("ops", true, tick)}, `member "tick": program "p" is for struct ops, member enqueue`},
		{"a member of another struct", []*StructOps{table("ops", true, enqueue), table("ops_cid", true, enqueue)}, `program "p" is for struct ops, member enqueue`},
		{"a table that is not created", []*StructOps{table("ops", true, enqueue), table("ops", false, tick)}, ""},
		{"absent members", []*StructOps{table("ops", true, Member{Name: "a"}, Member{Name: "b"})}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			places := map[string]string{}
			var err error
			for _, so := range tc.tables {
				if err == nil {
					err = reuse(places, so)
				}
			}
			if err == nil && tc.err != "" || err != nil && (tc.err == "" || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
		})
	}
}
