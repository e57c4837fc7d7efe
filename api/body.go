package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
)

// body reads the body of a call.
func body(c *gin.Context) ([]byte, error) {
	mediaType, parameters, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	charset := parameters["charset"]
	if err != nil || mediaType != "application/json" || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return nil, invalid("", "The Content-Type must be application/json, in UTF-8.")
	}
	data, err := io.ReadAll(c.Request.Body)
	large := new(http.MaxBytesError)
	switch {
	case errors.As(err, &large):
		return nil, &Error{Code: CodeTooLarge, Message: "The body is larger than the limit of " + size(large.Limit) + "."}
	case err != nil:
		return nil, invalid("", "The body did not arrive whole.")
	}
	return data, nil
}

func size(bytes int64) string {
	const mib = 1 << 20
	if bytes%mib == 0 {
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// decode reads the body of a call into a struct with json tags.
func decode(c *gin.Context, into any) error {
	data, err := body(c)
	if err != nil {
		return err
	}
	if err := wire.Object(data, into); err != nil {
		return malformed(err)
	}
	return nil
}

// pathID returns an id of the URL.
func pathID(c *gin.Context, name string) (string, error) {
	id := c.Param(name)
	if !capabilities.ValidID(id) {
		return "", invalid(name, "The %s in the URL must be a UUID.", name)
	}
	return id, nil
}

// queryID returns an id of the query, "" without one.
func queryID(c *gin.Context, name string) (string, error) {
	id := c.Query(name)
	if id != "" && !capabilities.ValidID(id) {
		return "", invalid(name, "The %s in the query must be a UUID.", name)
	}
	return id, nil
}

// sameID checks an id that the URL and the body have. The body may leave it out.
func sameID(field, inURL, inBody string) error {
	if inBody != "" && inBody != inURL {
		return invalid(field, "The %s in the body is not that in the URL.", field)
	}
	return nil
}
