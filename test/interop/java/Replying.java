import com.alibaba.fastjson2.JSONObject;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** requester.start · request · stop, replier.start · stop: request-reply of the official clients. */
final class Replying {
    private static final Map<String, DefaultMQProducer> REQUESTERS = new ConcurrentHashMap<>();
    private static final Map<String, Replier> REPLIERS = new ConcurrentHashMap<>();

    private static final class Replier {
        final DefaultMQPushConsumer consumer;
        final DefaultMQProducer producer;

        Replier(JSONObject request) throws Exception {
            consumer = new DefaultMQPushConsumer(request.getString("group"));
            consumer.setNamesrvAddr(request.getString("namesrv"));
            consumer.setInstanceName(request.getString("name"));
            consumer.setVipChannelEnabled(false);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe(request.getString("topic"), "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                try {
                    for (MessageExt message : messages) answer(message);
                    return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
                } catch (Exception error) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
            });
            producer = new DefaultMQProducer(request.getString("group") + "_answers");
            producer.setNamesrvAddr(request.getString("namesrv"));
            producer.setInstanceName(request.getString("name") + "-answers");
            producer.setVipChannelEnabled(false);
        }

        private void answer(MessageExt message) throws Exception {
            String body = "re: " + new String(message.getBody(), StandardCharsets.UTF_8);
            producer.send(
                MessageUtil.createReplyMessage(message, body.getBytes(StandardCharsets.UTF_8)), 5000);
        }
    }

    static void register(Map<String, Peer.Call> calls) {
        calls.put("requester.start", request -> {
            DefaultMQProducer producer = new DefaultMQProducer(request.getString("group"));
            producer.setNamesrvAddr(request.getString("namesrv"));
            producer.setInstanceName(request.getString("name"));
            producer.setVipChannelEnabled(false);
            producer.start();
            REQUESTERS.put(request.getString("name"), producer);
            return true;
        });
        calls.put("requester.request", request -> {
            DefaultMQProducer producer = REQUESTERS.get(request.getString("name"));
            Message message = new Message(request.getString("topic"), Peer.bodyOf(request));
            Message answer = producer.request(message, request.getLongValue("timeoutMs", 60_000));
            return new JSONObject()
                .fluentPut("body", new String(answer.getBody(), StandardCharsets.UTF_8))
                .fluentPut("properties", answer.getProperties());
        });
        calls.put("requester.stop", request -> {
            REQUESTERS.remove(request.getString("name")).shutdown();
            return true;
        });
        calls.put("replier.start", request -> {
            Replier replier = new Replier(request);
            replier.producer.start();
            replier.consumer.start();
            REPLIERS.put(request.getString("name"), replier);
            return true;
        });
        calls.put("replier.stop", request -> {
            Replier replier = REPLIERS.remove(request.getString("name"));
            replier.consumer.shutdown();
            replier.producer.shutdown();
            return true;
        });
    }
}
