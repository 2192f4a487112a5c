// What else messages can do, by the official Go client: retries and dead letters, request and reply, traces, long bodies.
//
//	peer more NAMESRV BROKER_ADDRESS
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// take subscribes and starts a consumer of its own group and instance.
func take(servers primitive.NsResolver, group string, topic string,
	each func(*primitive.MessageExt) consumer.ConsumeResult, more ...consumer.Option) rocketmq.PushConsumer {
	options := append([]consumer.Option{consumer.WithNsResolver(servers), consumer.WithInstance(group),
		consumer.WithGroupName(group), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset)}, more...)
	push, err := rocketmq.NewPushConsumer(options...)
	must(err)
	must(push.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			// What fails comes again after a second.
			if concurrently, is := primitive.GetConcurrentlyCtx(ctx); is {
				concurrently.DelayLevelWhenNextConsume = 1
			}
			for _, one := range messages {
				if result := each(one); result != consumer.ConsumeSuccess {
					return result, nil
				}
			}
			return consumer.ConsumeSuccess, nil
		}))
	must(push.Start())
	return push
}

func more(namesrv, brokerAddress string) {
	rlog.SetLogLevel("error")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	servers := primitive.NewPassthroughResolver([]string{namesrv})
	tool, err := admin.NewAdmin(admin.WithResolver(servers))
	must(err)
	// With the retry topic there at once, the client need not find it at its next rebalance, 20 s later.
	for _, topic := range []string{"GoPoison", "%RETRY%GPoison", "GoRequest", "GoTraced"} {
		must(tool.CreateTopic(ctx, admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(brokerAddress),
			admin.WithReadQueueNums(1), admin.WithWriteQueueNums(1)))
	}
	traced := primitive.TraceConfig{GroupName: "GoTracing", Access: primitive.Local, Resolver: servers}
	p, err := rocketmq.NewProducer(producer.WithNsResolver(servers), producer.WithGroupName("GoMore"),
		producer.WithInstanceName("go-more"), producer.WithTrace(&traced))
	must(err)
	must(p.Start())

	dead := make(chan string, 10)
	tries := make(chan int32, 10)
	poison := take(servers, "GPoison", "GoPoison", func(one *primitive.MessageExt) consumer.ConsumeResult {
		print("tried", map[string]interface{}{"body": string(one.Body), "times": one.ReconsumeTimes})
		if strings.HasPrefix(string(one.Body), "good") {
			return consumer.ConsumeSuccess
		}
		tries <- one.ReconsumeTimes
		return consumer.ConsumeRetryLater
	}, consumer.WithMaxReconsumeTimes(2))
	for _, body := range []string{"poison", "good"} {
		_, err := p.SendSync(ctx, primitive.NewMessage("GoPoison", []byte(body)).WithKeys([]string{"k-" + body}))
		must(err)
	}

	answering := take(servers, "GRequest", "GoRequest", func(one *primitive.MessageExt) consumer.ConsumeResult {
		if strings.HasPrefix(string(one.Body), "nobody") {
			return consumer.ConsumeSuccess
		}
		reply, err := consumer.CreateReplyMessage(one, []byte("answer to "+string(one.Body)))
		must(err)
		// The client loses the body here. Who does not notice sends a reply without one.
		if string(one.Body) == "two" {
			reply.Body = []byte("answer to two")
		}
		result, err := p.SendSync(ctx, reply)
		must(err)
		print("replied", map[string]interface{}{"status": int(result.Status)})
		return consumer.ConsumeSuccess
	})
	asking, err := rocketmq.NewProducer(producer.WithNsResolver(servers), producer.WithGroupName("GoAsking"),
		producer.WithInstanceName("go-asking"))
	must(err)
	must(asking.Start())
	_, err = asking.SendSync(ctx, primitive.NewMessage("GoTraced", []byte("introduction")))
	must(err)
	// The broker knows whom to push answers to by the heart-beat, which this client sends after a second.
	time.Sleep(1500 * time.Millisecond)
	for _, body := range []string{"one", "two"} {
		answer, err := asking.Request(ctx, 5*time.Second, primitive.NewMessage("GoRequest", []byte(body)))
		must(err)
		print("answered", map[string]interface{}{"body": string(answer.Body)})
	}
	_, err = asking.Request(ctx, 500*time.Millisecond, primitive.NewMessage("GoRequest", []byte("nobody")))
	print("unanswered", map[string]interface{}{"error": fmt.Sprint(err)})

	// Longer than 4 KiB: the client compresses it.
	long := strings.Repeat("long ", 20_000)
	result, err := p.SendSync(ctx, primitive.NewMessage("GoTraced", []byte(long)).WithKeys([]string{"traced"}))
	must(err)
	print("traced", map[string]interface{}{"messageId": result.MsgID})
	took := make(chan string, 10)
	reading := take(servers, "GTraced", "GoTraced", func(one *primitive.MessageExt) consumer.ConsumeResult {
		if string(one.Body) == long {
			took <- "long"
		}
		return consumer.ConsumeSuccess
	}, consumer.WithTrace(&traced))
	for times := int32(0); times < 2; {
		select {
		case times = <-tries:
		case <-ctx.Done():
			must(ctx.Err())
		}
	}
	// The topic is there once a letter is.
	time.Sleep(1500 * time.Millisecond)
	letters := take(servers, "GLetters", "%DLQ%GPoison", func(one *primitive.MessageExt) consumer.ConsumeResult {
		print("dead", map[string]interface{}{"body": string(one.Body), "key": one.GetKeys(),
			"property": one.GetProperty(primitive.PropertyRetryTopic)})
		dead <- string(one.Body)
		return consumer.ConsumeSuccess
	})
	for _, what := range []string{"dead", "long"} {
		arrived := dead
		if what == "long" {
			arrived = took
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			fmt.Fprintln(os.Stderr, what, "did not arrive")
			os.Exit(1)
		}
	}
	for _, push := range []rocketmq.PushConsumer{poison, answering, reading, letters} {
		must(push.Shutdown())
	}
	must(p.Shutdown())
	must(asking.Shutdown())
	print("done", map[string]interface{}{})
	os.Exit(0)
}
