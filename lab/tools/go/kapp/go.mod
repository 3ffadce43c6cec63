module flowmaster/tools/kapp

go 1.25.0

tool carvel.dev/kapp/cmd/kapp

require carvel.dev/kapp v0.64.2
