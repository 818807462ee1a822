package verifier_test
import ("testing";"os";"path/filepath";"strings";"github.com/schedsim/schedsim/vm/link")
func TestDbg(t *testing.T){
 l:=newLab(t)
 f,p,_:=strings.Cut(os.Getenv("DBG"),"/")
 for _,v:=range checkObject(t,l,filepath.Join(os.Getenv("SCHEDSIM_SUITE"),f+".bpf.o"),func(q *link.Program)bool{return q.Name==p}) {
  t.Log(v.got,v.why); if v.err!=nil {t.Log(v.err); t.Log("\n"+strings.Join(v.err.Log,"\n"))}
 }
}
