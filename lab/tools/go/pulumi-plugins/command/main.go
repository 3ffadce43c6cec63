// The part of Pulumi's command provider that this project relies on, for machines that cannot download it.
//
// The official one is not in the Go module proxy. This has its token, its properties and its behaviour for local
// commands, written with the library that the official one is written with; tests/contract holds both to the same.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

const version = "1.2.1"

// Command is the resource command:local:Command.
type Command struct{}

type Inputs struct {
	Create                 *string            `pulumi:"create,optional"`
	Update                 *string            `pulumi:"update,optional"`
	Delete                 *string            `pulumi:"delete,optional"`
	Triggers               *[]any             `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Interpreter            *[]string          `pulumi:"interpreter,optional"`
	Dir                    *string            `pulumi:"dir,optional"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	Stdin                  *string            `pulumi:"stdin,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
	Logging                *string            `pulumi:"logging,optional"`
}

type Outputs struct {
	Inputs
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

func (*Command) Annotate(a infer.Annotator) {
	a.Describe(&Command{}, "A command that is run on this machine when its resource is made, changed or removed.")
	a.SetToken("local", "Command")
}

func (*Command) Create(
	ctx context.Context, req infer.CreateRequest[Inputs],
) (infer.CreateResponse[Outputs], error) {
	suffix := make([]byte, 8)
	if _, err := rand.Read(suffix); err != nil {
		return infer.CreateResponse[Outputs]{}, err
	}
	response := infer.CreateResponse[Outputs]{ID: req.Name + hex.EncodeToString(suffix), Output: Outputs{Inputs: req.Inputs}}
	if req.DryRun || req.Inputs.Create == nil {
		return response, nil
	}
	err := response.Output.run(ctx, *req.Inputs.Create, nil)
	return response, err
}

func (*Command) Update(
	ctx context.Context, req infer.UpdateRequest[Inputs, Outputs],
) (infer.UpdateResponse[Outputs], error) {
	response := infer.UpdateResponse[Outputs]{
		Output: Outputs{Inputs: req.Inputs, Stdout: req.State.Stdout, Stderr: req.State.Stderr},
	}
	text := req.Inputs.Update
	if text == nil {
		text = req.Inputs.Create
	}
	if req.DryRun || text == nil {
		return response, nil
	}
	err := response.Output.run(ctx, *text, &req.State)
	return response, err
}

func (*Command) Delete(ctx context.Context, req infer.DeleteRequest[Outputs]) (infer.DeleteResponse, error) {
	if req.State.Inputs.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	state := req.State
	return infer.DeleteResponse{}, state.run(ctx, *req.State.Inputs.Delete, &req.State)
}

// run executes the text and keeps what it printed; before is the state that the command follows on, if any.
func (o *Outputs) run(ctx context.Context, text string, before *Outputs) error {
	interpreter := []string{"/bin/sh", "-c"}
	if o.Interpreter != nil && len(*o.Interpreter) > 0 {
		interpreter = *o.Interpreter
	}
	words := append(append([]string{}, interpreter[1:]...), text)
	process := exec.CommandContext(ctx, interpreter[0], words...)
	process.Env = os.Environ()
	if before != nil && (o.AddPreviousOutputInEnv == nil || *o.AddPreviousOutputInEnv) {
		process.Env = append(process.Env,
			"PULUMI_COMMAND_STDOUT="+before.Stdout, "PULUMI_COMMAND_STDERR="+before.Stderr)
	}
	if o.Environment != nil {
		for name, value := range *o.Environment {
			process.Env = append(process.Env, name+"="+value)
		}
	}
	if o.Dir != nil {
		process.Dir = *o.Dir
	}
	if o.Stdin != nil {
		process.Stdin = strings.NewReader(*o.Stdin)
	}
	var stdout, stderr, both locked
	process.Stdout = io.MultiWriter(&stdout, &both)
	process.Stderr = io.MultiWriter(&stderr, &both)
	err := process.Run()
	o.log(ctx, stdout.String(), stderr.String())
	if err != nil {
		return fmt.Errorf("%w: running %q:\n%s", err, text, both.String())
	}
	o.Stdout, o.Stderr = strings.TrimSuffix(stdout.String(), "\n"), strings.TrimSuffix(stderr.String(), "\n")
	return nil
}

func (o *Outputs) log(ctx context.Context, stdout, stderr string) {
	how := "stdoutAndStderr"
	if o.Logging != nil {
		how = *o.Logging
	}
	if stdout != "" && (how == "stdout" || how == "stdoutAndStderr") {
		p.GetLogger(ctx).Info(stdout)
	}
	if stderr != "" && (how == "stderr" || how == "stdoutAndStderr") {
		p.GetLogger(ctx).Info(stderr)
	}
}

// locked is a buffer that two streams may write to at once.
type locked struct {
	buffer bytes.Buffer
	guard  sync.Mutex
}

func (l *locked) Write(part []byte) (int, error) {
	l.guard.Lock()
	defer l.guard.Unlock()
	return l.buffer.Write(part)
}

func (l *locked) String() string {
	l.guard.Lock()
	defer l.guard.Unlock()
	return l.buffer.String()
}

func main() {
	provider, err := infer.NewProviderBuilder().
		WithDisplayName("Command").
		WithNamespace("pulumi").
		WithResources(infer.Resource(&Command{})).
		WithModuleMap(map[tokens.ModuleName]tokens.ModuleName{"main": "local"}).
		Build()
	if err == nil {
		err = p.RunProvider(context.Background(), "command", version, provider)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
