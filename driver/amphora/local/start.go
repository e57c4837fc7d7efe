package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (c *Compute) writeConfig(a model.Amphora) error {
	accessLog := c.options.AccessLog
	accessLog.Dir = c.accessLogDir(a.ID)
	data, err := json.MarshalIndent(&agent.Config{
		AmphoraID:      a.ID,
		LoadBalancerID: a.LoadBalancerID,
		Controller:     c.options.Controller,
		ServerName:     certs.ServerName,
		CredentialsDir: c.CredentialsDir(a.ID),
		RunDir:         c.runDir(a.ID),
		EnvoyPath:      c.options.EnvoyPath,
		Concurrency:    c.options.Concurrency,
		DrainSeconds:   c.options.DrainSeconds,
		HeartbeatMS:    c.options.HeartbeatMS,
		EnvoyLogLevel:  c.options.EnvoyLogLevel,
		LogLevel:       c.options.LogLevel,
		AccessLog:      accessLog,
	}, "", "  ")
	if err != nil {
		return err
	}
	path := c.configPath(a.ID)
	data = append(data, '\n')
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return nil
	}
	if err := certs.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	_, err = agent.LoadConfig(path) // a path that is too long, say: better told here than by an agent that ends
	if err != nil {
		return errors.Join(fmt.Errorf("configuration of the agent: %w", err), os.Remove(path))
	}
	return nil
}

// start runs the agent in the amphora's namespace and records it.
func (c *Compute) start(id string) error {
	if info, err := os.Stat(c.logPath(id)); err == nil && info.Size() > maxLogFile {
		if err := os.Rename(c.logPath(id), c.logPath(id)+".1"); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(c.logPath(id), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// Not CommandContext: the agent outlives the controller.
	command := exec.Command(c.options.AgentPath, "run", "--config", c.configPath(id))
	command.Stdout, command.Stderr = log, log
	command.Dir = "/"
	// Nothing of the controller's environment, which may hold a password.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.options.Enter(c.options.Namespace(id), command.Start); err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	started, err := process.Of(command.Process.Pid)
	if err == nil {
		err = started.Save(c.pidPath(id))
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil // it has ended already; Status tells
	}
	logger := c.options.Logger.With("amphora", id, "pid", command.Process.Pid)
	logger.Info("agent started", "log", c.logPath(id))
	go func() { // so that no zombie stays
		err := command.Wait()
		logger.Info("agent ended", "status", fmt.Sprint(err))
	}()
	return err
}
