package status

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	defaultTimeout = 30 * time.Second
	// answerLimit bounds an answer, in bytes. A tree repeats a pool in each listener that uses it, so it can be large.
	answerLimit = 256 << 20
	// headerLimit is the longest length line, in digits.
	headerLimit = 10
	// backlogPause is the wait before connecting again when the agent's backlog of five connections is full.
	backlogPause = 20 * time.Millisecond
)

// exchange sends one request on a connection of its own and returns the answer.
//
// The agent forks for each connection and reads without a time limit: a client that leaves before its whole frame is in
// makes that process spin for ever. So ctx is looked at before connecting and while waiting for the answer, and not in
// between; only the time limit ends a write.
func (a *Agent) exchange(ctx context.Context, socket string, request any) ([]byte, error) {
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	frame := append([]byte(strconv.Itoa(len(payload))+"\n"), payload...)
	conn, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()

	timeout := a.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, fmt.Errorf("set the time limit on %s: %w", socket, err)
	}
	if _, err := conn.Write(frame); err != nil {
		return nil, fmt.Errorf("send to the driver-agent on %s: %w", socket, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err := readFrame(conn)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("wait for the driver-agent's answer: %w", ctx.Err())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("the driver-agent did not answer on %s in %s: %w", socket, timeout, err)
	default:
		return nil, fmt.Errorf("read the driver-agent's answer on %s: %w", socket, err)
	}
}

// dial connects. A full backlog (the agent's holds five connections) refuses at once on a unix socket: that is waited out.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	deadline := time.Now().Add(connectTimeout)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// Not under ctx: its end between connect and return would close a connection on which nothing was sent.
		conn, err := net.DialTimeout("unix", socket, connectTimeout)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backlogPause):
		}
	}
}

// readFrame reads "<length>\n<that many bytes>". Its errors never quote what was read: answers hold private keys.
func readFrame(r io.Reader) ([]byte, error) {
	reader := bufio.NewReader(r)
	size, digits := 0, 0
	for {
		char, err := reader.ReadByte()
		if errors.Is(err, io.EOF) && digits == 0 {
			return nil, ErrNoAnswer
		}
		if err != nil {
			return nil, fmt.Errorf("length of the answer: %w", unexpected(err))
		}
		if char == '\n' && digits > 0 {
			break
		}
		digits++
		if char < '0' || char > '9' || digits > headerLimit {
			return nil, errors.New("the answer does not begin with its length: is this the driver-agent's socket?")
		}
		size = size*10 + int(char-'0')
	}
	if size > answerLimit {
		return nil, fmt.Errorf("the answer has %d bytes, the limit is %d", size, answerLimit)
	}
	// The buffer grows with what comes, not with what the length promises.
	var payload bytes.Buffer
	if _, err := io.CopyN(&payload, reader, int64(size)); err != nil {
		return nil, fmt.Errorf("%d of %d bytes: %w", payload.Len(), size, unexpected(err))
	}
	return payload.Bytes(), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
