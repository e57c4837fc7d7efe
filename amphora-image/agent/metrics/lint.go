package metrics

// LintExceptions are the names of Octavia's that break Prometheus' conventions, with what is wrong with them.
func LintExceptions() map[string]string {
	return map[string]string{}
}
