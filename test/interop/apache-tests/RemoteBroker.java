package org.apache.rocketmq.test.base;

import java.io.IOException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.broker.offset.ConsumerOffsetManager;
import org.apache.rocketmq.broker.out.BrokerOuterAPI;
import org.apache.rocketmq.broker.subscription.SubscriptionGroupManager;
import org.apache.rocketmq.broker.topic.TopicConfigManager;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyServerConfig;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.MessageStore;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * A broker of another process where a test expects the broker's own object: what tests look up in it
 * (topics, offsets) is asked over the wire. Nothing is started here; changed settings have no effect.
 */
public final class RemoteBroker extends BrokerController {
    private static final int TIMEOUT_MILLIS = 5000;

    private final BrokerOuterAPI outer;
    private final TopicConfigManager topics;
    private final ConsumerOffsetManager offsets;
    private final SubscriptionGroupManager groups;
    private final MessageStore store;
    private DefaultMQAdminExt admin;

    RemoteBroker(BrokerConfig config, MessageStoreConfig storeConfig) {
        super(config, serverConfig(config), new NettyClientConfig(), storeConfig);
        outer = new BrokerOuterAPI(new NettyClientConfig(), null) {
            @Override
            public void refreshMetadata() {
                // a running broker looks after its own
            }
        };
        topics = new Topics();
        offsets = new Offsets();
        groups = new Groups();
        try {
            store = new Store(storeConfig, config);
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    private static NettyServerConfig serverConfig(BrokerConfig config) {
        NettyServerConfig server = new NettyServerConfig();
        server.setListenPort(config.getListenPort());
        return server;
    }

    private synchronized DefaultMQAdminExt admin() {
        if (admin == null) {
            admin = new DefaultMQAdminExt(TIMEOUT_MILLIS);
            admin.setInstanceName("handle-" + getBrokerConfig().getBrokerName());
            admin.setNamesrvAddr(IntegrationTestBase.namesrv());
            try {
                admin.start();
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }
        return admin;
    }

    private interface Call<T> {
        T run() throws Exception;
    }

    private static <T> T ask(Call<T> call) {
        try {
            return call.run();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public BrokerOuterAPI getBrokerOuterAPI() {
        return outer;
    }

    @Override
    public TopicConfigManager getTopicConfigManager() {
        // Asked by the constructor above this one, before there is one here.
        return topics == null ? super.getTopicConfigManager() : topics;
    }

    @Override
    public ConsumerOffsetManager getConsumerOffsetManager() {
        return offsets == null ? super.getConsumerOffsetManager() : offsets;
    }

    @Override
    public SubscriptionGroupManager getSubscriptionGroupManager() {
        return groups == null ? super.getSubscriptionGroupManager() : groups;
    }

    @Override
    public MessageStore getMessageStore() {
        return store;
    }

    @Override
    public synchronized void registerBrokerAll(boolean order, boolean oneway, boolean force) {
        // a running broker registers by itself
    }

    @Override
    public void registerServerRPCHook(RPCHook hook) {
        throw new UnsupportedOperationException("the test hooks into a broker of its own JVM");
    }

    @Override
    public void start() {
        // it runs
    }

    @Override
    public void shutdown() {
        // it goes on
    }

    private final class Topics extends TopicConfigManager {
        @Override
        public ConcurrentMap<String, TopicConfig> getTopicConfigTable() {
            return new ConcurrentHashMap<>(
                ask(() -> admin().getAllTopicConfig(getBrokerAddr(), TIMEOUT_MILLIS))
                    .getTopicConfigTable());
        }

        @Override
        public TopicConfig selectTopicConfig(String topic) {
            return getTopicConfigTable().get(topic);
        }

        @Override
        public void updateTopicConfig(TopicConfig config) {
            ask(
                () -> {
                    admin().createAndUpdateTopicConfig(getBrokerAddr(), config);
                    return null;
                });
        }
    }

    private final class Offsets extends ConsumerOffsetManager {
        @Override
        public long queryOffset(String group, String topic, int queueId) {
            QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
            header.setConsumerGroup(group);
            header.setTopic(topic);
            header.setQueueId(queueId);
            return ask(
                () ->
                    admin()
                        .getDefaultMQAdminExtImpl()
                        .getMqClientInstance()
                        .getMQClientAPIImpl()
                        .queryConsumerOffset(getBrokerAddr(), header, TIMEOUT_MILLIS));
        }
    }

    private final class Groups extends SubscriptionGroupManager {
        @Override
        public SubscriptionGroupConfig findSubscriptionGroupConfig(String group) {
            SubscriptionGroupConfig found =
                ask(() -> admin().getAllSubscriptionGroup(getBrokerAddr(), TIMEOUT_MILLIS))
                    .getSubscriptionGroupTable()
                    .get(group);
            if (found != null) {
                return found;
            }
            // Apache's makes one at the first look.
            SubscriptionGroupConfig made = new SubscriptionGroupConfig();
            made.setGroupName(group);
            updateSubscriptionGroupConfig(made);
            return made;
        }

        @Override
        public void updateSubscriptionGroupConfig(SubscriptionGroupConfig config) {
            ask(
                () -> {
                    admin().createAndUpdateSubscriptionGroupConfig(getBrokerAddr(), config);
                    return null;
                });
        }
    }

    private final class Store extends DefaultMessageStore {
        Store(MessageStoreConfig storeConfig, BrokerConfig config) throws IOException {
            super(storeConfig, null, null, config, new ConcurrentHashMap<>());
        }

        private MessageQueue queue(String topic, int queueId) {
            return new MessageQueue(topic, getBrokerConfig().getBrokerName(), queueId);
        }

        @Override
        public long getMinOffsetInQueue(String topic, int queueId) {
            return ask(() -> admin().minOffset(queue(topic, queueId)));
        }

        @Override
        public long getMaxOffsetInQueue(String topic, int queueId) {
            return ask(() -> admin().maxOffset(queue(topic, queueId)));
        }

        @Override
        public long dispatchBehindBytes() {
            // Not to be seen from outside; the next answer waits for what is dispatched.
            return 0;
        }
    }
}
