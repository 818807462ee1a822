package verifier

import "testing"

// BenchmarkCheck verifies a loop of 20,000 instructions and a program of many branches.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(b)
	branches := "r6 = *(u64 *)(r1 + 8)\nr0 = 0\n"
	for i := range 60 {
		branches += "r2 = r6\nr2 &= " + itoa(i+1) + "\nif r2 == 0 goto l" + itoa(i) + "\nr0 += 1\nl" + itoa(i) + ":\n"
	}
	for _, c := range []struct{ name, text string }{
		{"loop", "r0 = 0\nloop:\nr0 += 1\nif r0 < 10000 goto loop\nexit"},
		{"branches", branches + "exit"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := assemble(c.name, c.text)
			if err != nil {
				b.Fatal(err)
			}
			at := w.attachment("")
			b.ReportAllocs()
			insns := 0
			for b.Loop() {
				res, err := Check(p.obj, p.prog, at)
				if err != nil {
					b.Fatal(err)
				}
				insns = res.Insns
			}
			b.ReportMetric(float64(insns), "insns")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(insns), "ns/insn")
		})
	}
}
